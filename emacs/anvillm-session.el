;;; anvillm-session.el --- Commands on sessions  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The commands that work on a session wherever one is at hand: on the row of
;; the list, in its conversation, in its mail, or asked for with completion.
;; They share one keymap, so every key means the same in every buffer.

;;; Code:

(require 'anvillm-bindings)
(require 'anvillm-around)
(require 'anvillm-control)
(require 'anvillm-start)

;;;; The next that needs me

(defun anvillm-needing ()
  "Return the sessions that need the user: those that ask first."
  (let ((rank '((ask . 0) (error . 1) (held . 2) (mail . 3) (fresh . 4))))
    (sort (cl-remove-if-not #'anvillm-needs (anvillm-sessions))
          (lambda (a b)
            (< (alist-get (anvillm-needs a) rank) (alist-get (anvillm-needs b) rank))))))

(declare-function anvillm-conversation "anvillm-talk" (id))

;;;###autoload
(defun anvillm-next-needing (&optional back)
  "Go to the next session that needs the user.
If BACK, to the one before."
  (interactive)
  (anvillm-await-sessions)
  (let* ((ids (mapcar #'anvillm-id (anvillm-needing))) (here (anvillm-at-point))
         (rest (cdr (member here (if back (reverse ids) ids))))
         (id (or (car rest) (car (if back (last ids) ids)))))
    (cond ((not id) (message "No session needs you"))
          ((derived-mode-p 'anvillm-mode) (anvillm-goto id))
          ((eq 'ask (anvillm-needs (anvillm-session id))) (anvillm-answer id))
          (t (anvillm-conversation id)))
    (when id
      (message "%s: %s" (anvillm-name id)
               (pcase (anvillm-needs (anvillm-session id))
                 ('ask (concat (anvillm-ask-text (anvillm-session id))
                               (substitute-command-keys "  (\\[anvillm-answer] answers)")))
                 ((or 'error 'held) (anvillm-note (anvillm-session id)))
                 ('mail "mail waits for you")
                 (_ "has answered"))))))
(declare-function anvillm-goto "anvillm" (id))
(declare-function anvillm-answer "anvillm-ask" (id))

(defun anvillm-previous-needing ()
  "Go to the previous session that needs the user."
  (interactive)
  (anvillm-next-needing t))

;;;; Keys

(defvar anvillm-session-map (anvillm-bindings-map 'session)
  "Keys on a session, the same in every buffer of AnviLLM.")

;;;; Help, from the keymaps

(defun anvillm--first-sentence (command)
  "Return what COMMAND does, from the first line of its docstring."
  (let ((doc (car (split-string (or (ignore-errors (documentation command)) "") "\n"))))
    (let ((case-fold-search nil))
      (string-remove-suffix
       "." (replace-regexp-in-string "\\b[A-Z]\\{3,\\}\\b" #'downcase
                                     (replace-regexp-in-string " IDS?\\b" "" doc) t)))))

(defun anvillm-help ()
  "Show what the keys of this buffer do."
  (interactive)
  (let ((rows (anvillm-bindings-of (current-local-map)))
        (mode (string-remove-suffix "-mode" (symbol-name major-mode))))
    (with-help-window "*AnviLLM help*"
      (princ (format "Keys of %s\n\n" mode))
      (dolist (ours '(t nil))
        (pcase-dolist (`(,command . ,keys) rows)
          (when (and (eq ours (string-prefix-p "anvillm" (symbol-name command)))
                     (not (memq command '(digit-argument negative-argument undefined))))
            (princ (format "%-16s %s\n"
                           (mapconcat (lambda (k) (propertize k 'face 'anvillm-key))
                                      (sort keys #'string<) ", ")
                           (anvillm--first-sentence command)))))
        (when ours (princ "\nAs everywhere\n\n"))))))

(provide 'anvillm-session)
;;; anvillm-session.el ends here
