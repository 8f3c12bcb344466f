;;; anvillm-command.el --- Agents from any buffer  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Prompts about what is in front of you: the region, the function, the
;; diagnostic, the file.  They go to the session of this project, the most
;; recent first, and only as a draft: nothing is sent before you say so.  Bind
;; `anvillm-command-map' to a key of your own.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-compose)

(declare-function flymake-diagnostics "flymake" (&optional beg end))
(declare-function flymake-diagnostic-beg "flymake" (diag))
(declare-function flymake-diagnostic-text "flymake" (diag))
(declare-function flycheck-overlay-errors-at "ext:flycheck" (pos))
(declare-function flycheck-error-message "ext:flycheck" (err))

(defun anvillm-target (&optional ask)
  "Return the session for a prompt from this buffer.
It is the most recent one of this project; else, or if ASK, it is asked for."
  (anvillm-await-sessions)
  (or (anvillm-at-point)
      (and (not ask)
           (anvillm-id (cl-find-if (lambda (s)
                                     (member (plist-get s :state) '("idle" "running" "starting")))
                                   (anvillm-project-sessions))))
      (anvillm-read-session "Prompt to: ")))

(defun anvillm-command--draft (text)
  "Open the draft for this buffer's session with TEXT at its end.
With a prefix argument the session is asked for."
  (anvillm-compose-with (list (anvillm-target current-prefix-arg)) text))

;;;###autoload
(defun anvillm-prompt-about ()
  "Draft a prompt about the region, or about the place where point is."
  (interactive)
  (if (use-region-p)
      (anvillm-prompt-region (region-beginning) (region-end))
    (anvillm-command--draft (and buffer-file-name (anvillm-reference (point))))))

;;;###autoload
(defun anvillm-prompt-region (start end)
  "Draft a prompt about the region from START to END."
  (interactive "r")
  (let ((text (anvillm-region-reference start end)))
    (deactivate-mark)
    (anvillm-command--draft text)))

;;;###autoload
(defun anvillm-prompt-defun ()
  "Draft a prompt about the function that point is in."
  (interactive)
  (require 'thingatpt)
  (pcase (bounds-of-thing-at-point 'defun)
    (`(,start . ,end) (anvillm-command--draft (anvillm-region-reference start end)))
    (_ (user-error "No function here"))))

(defun anvillm-command--diagnostics ()
  "Return what is said about this line, by Flymake, Flycheck or Help-at-pt."
  (or (and (bound-and-true-p flymake-mode)
           (mapcar #'flymake-diagnostic-text
                   (flymake-diagnostics (line-beginning-position) (line-end-position))))
      (and (bound-and-true-p flycheck-mode) (fboundp 'flycheck-overlay-errors-at)
           (mapcar #'flycheck-error-message (flycheck-overlay-errors-at (point))))
      (let ((help (help-at-pt-kbd-string))) (and help (list help)))))

;;;###autoload
(defun anvillm-prompt-diagnostic ()
  "Draft a prompt about the diagnostic on this line."
  (interactive)
  (let ((texts (anvillm-command--diagnostics)))
    (unless texts (user-error "No diagnostic on this line"))
    (anvillm-command--draft
     (concat (mapconcat (lambda (text) (format "%s: %s" (anvillm-reference (point)) text)) texts
                        "\n")
             "\n\n"
             (anvillm-fence
              (string-trim-right (buffer-substring-no-properties (line-beginning-position)
                                                                 (line-end-position)))
              (anvillm-language))))))

;;;###autoload
(defun anvillm-prompt-buffer ()
  "Draft a prompt about this buffer: its file's name, or its text if it has none."
  (interactive)
  (anvillm-command--draft (if (and buffer-file-name (not (buffer-modified-p)))
                              (anvillm-reference)
                            (anvillm-region-reference (point-min) (point-max)))))

;;;###autoload
(defun anvillm-prompt-file (file)
  "Draft a prompt about FILE."
  (interactive "fPrompt about file: ")
  (anvillm-command--draft (abbreviate-file-name (expand-file-name file))))

;;;###autoload
(defun anvillm-project-conversation ()
  "Show the conversation of this project's session."
  (interactive)
  (anvillm-conversation (anvillm-target current-prefix-arg)))

(declare-function anvillm-conversation "anvillm-talk" (id))

;;;###autoload (autoload 'anvillm-command-map "anvillm-command" nil t 'keymap)
(defvar anvillm-command-map (anvillm-bindings-map 'anywhere)
  "Keys for any buffer; bind it to one of your own.")
(fset 'anvillm-command-map anvillm-command-map)

(provide 'anvillm-command)
;;; anvillm-command.el ends here
