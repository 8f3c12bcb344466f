;;; anvillm-attach.el --- A terminal on an agent  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The daemon says with which command a terminal is attached to an agent.  It
;; is run in a terminal inside Emacs, the best that is installed, or in one of
;; the desktop.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)

(declare-function eat-make "ext:eat" (name program &optional startfile &rest switches))
(declare-function vterm-mode "ext:vterm" ())
(defvar vterm-shell)
(declare-function term-mode "term" ())
(declare-function term-char-mode "term" ())
(declare-function term-set-escape-char "term" (key))
(defvar term-escape-char)
(defvar term-raw-map)
(declare-function term-send-raw "term" ())
(declare-function term-send-raw-string "term" (chars))
(declare-function term-exec "term" (buffer name command startfile switches))

(defcustom anvillm-terminal 'auto
  "Where agents are attached: inside Emacs, or the command of a terminal.
The command of a terminal gets the command to run behind it, as in \"foot -e\"."
  :type '(choice (const :tag "The best one inside Emacs" auto)
                 (const eat) (const vterm) (const term)
                 (const :tag "$ANVILLM_TERMINAL" environment)
                 (string :tag "Command"))
  :group 'anvillm)

(defun anvillm-attach--kind ()
  "Return which terminal is used: eat, vterm, term, or a command."
  (pcase anvillm-terminal
    ('auto (cond ((require 'eat nil t) 'eat) ((require 'vterm nil t) 'vterm) (t 'term)))
    ('environment (or (getenv "ANVILLM_TERMINAL") "foot"))
    (other other)))

(defconst anvillm-attach--format "*attach %s*" "The name of a terminal's buffer.")

;; `term-raw-map' is that of the user's own terminals too.
(defun anvillm-attach--keys ()
  "Return the keys of a terminal in which the agent can be interrupted."
  (let ((map (make-sparse-keymap)))
    (set-keymap-parent map term-raw-map)
    (define-key map (kbd "C-c") #'term-send-raw)
    (define-key map [escape]
                (lambda () (interactive) (term-send-raw-string "\e")))
    map))

(defun anvillm-attach--inside (kind name command)
  "Show a buffer NAME with a terminal of KIND for COMMAND, a shell line."
  (unless (require kind nil t) (user-error "%s is not installed; see `anvillm-terminal'" kind))
  (pcase kind
    ('eat (pop-to-buffer (eat-make name "/bin/sh" nil "-c" command)))
    ('vterm (pop-to-buffer (generate-new-buffer (format "*%s*" name)))
            (let ((vterm-shell (format "/bin/sh -c %s" (shell-quote-argument command))))
              (vterm-mode)))
    (_ ;; Shown first: a terminal is as large as the window it begins in.
       (pop-to-buffer (get-buffer-create (format "*%s*" name)))
       (term-mode)
       (term-exec (current-buffer) name "/bin/sh" nil (list "-c" command))
       (term-char-mode)
       ;; As in `ansi-term': C-x o leads out.
       (let (term-escape-char) (term-set-escape-char ?\C-x))
       (use-local-map (anvillm-attach--keys)))))

(defun anvillm-attach--show (id commands)
  "Attach to session ID by the last line of COMMANDS."
  (let* ((kind (anvillm-attach--kind))
         (command (car (last (split-string commands "\n" t))))
         (name (concat "attach " (anvillm-name id)))
         (default-directory (anvillm-directory id))
         ;; The agent's tmux is not the one Emacs may run in.
         (process-environment (cons "TMUX" process-environment)))
    (if (stringp kind)
        (let ((words (split-string-and-unquote kind)))
          (apply #'start-process name nil (append words (list "/bin/sh" "-c" command)))
          (message "Attached %s in %s" (anvillm-name id) (car words)))
      (let ((old (anvillm-buffer-find id anvillm-attach--format)))
        (if (and old (get-buffer-process old))
            (pop-to-buffer old)
          (when old (kill-buffer old))
          (anvillm-attach--inside kind
                                  (string-trim (generate-new-buffer-name (format "*%s*" name)) "\\*"
                                               "\\*") command)
          (anvillm-buffer-keep id anvillm-attach--format (anvillm-name id)))))))

;;;###autoload
(defun anvillm-attach (id)
  "Attach a terminal to the agent of the session ID."
  (interactive (list (anvillm-current "Attach: ")))
  (let ((command (or (anvillm-get id :tmux) "")))
    (if (not (string-blank-p command))
        (anvillm-attach--show id command)
      ;; It may have started a moment ago.
      (anvillm-read (concat id "/tmux")
                    (anvillm-then "attach"
                                  (lambda (bytes)
                                    (if (string-blank-p (anvillm-text bytes))
                                        (message "%s is not running" (anvillm-name id))
                                      (anvillm-attach--show id (anvillm-text bytes)))))))))

(provide 'anvillm-attach)
;;; anvillm-attach.el ends here
