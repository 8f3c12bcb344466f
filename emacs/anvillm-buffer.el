;;; anvillm-buffer.el --- Buffers that belong to a session  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A buffer about a session is found by the id of the session and by what it
;; shows, never by its name.  The name follows the alias, and says so when the
;; session was killed, so that a later session of the same name gets a buffer
;; of its own.

;;; Code:

(require 'anvillm-core)

(defvar-local anvillm-buffer-session nil "The id of the session that this buffer is about.")
(put 'anvillm-buffer-session 'permanent-local t)
(defvar-local anvillm-buffer--format nil
  "The name of this buffer, with %s for the name of its session.")
(put 'anvillm-buffer--format 'permanent-local t)
(defvar-local anvillm-buffer--given nil
  "The name that this buffer was given here, until it is renamed.")
(put 'anvillm-buffer--given 'permanent-local t)
(defvar-local anvillm-buffer-known-name nil "What the session was called when it was last seen.")
(put 'anvillm-buffer-known-name 'permanent-local t)

(defconst anvillm-buffer--taken
  '("daemon" "waiting" "log" "message" "prompt" "traffic" "beads" "help")
  "Names that a buffer of all sessions has, so that no conversation gets it.")

(defun anvillm-buffer--title (format name)
  "Return the name of a buffer for a session called NAME, by FORMAT."
  (format format (if (member name anvillm-buffer--taken) (concat name " session") name)))

(defun anvillm-buffer-find (id format)
  "Return the buffer of session ID that was made with FORMAT, or nil."
  (cl-find-if (lambda (b) (and (equal id (buffer-local-value 'anvillm-buffer-session b))
                               (equal format (buffer-local-value 'anvillm-buffer--format b))))
              (buffer-list)))

(defun anvillm-buffer-get (id format &optional name)
  "Return the buffer of session ID that FORMAT names, made if need be.
NAME is what the session is called, where that is not known yet."
  (or (anvillm-buffer-find id format)
      (let* ((name (or name (anvillm-name id)))
             (buffer (generate-new-buffer (anvillm-buffer--title format name))))
        (with-current-buffer buffer
          (anvillm-buffer-keep id format name))
        buffer)))

(defun anvillm-buffer-keep (id format name)
  "Let this buffer belong to session ID, called NAME, by FORMAT."
  (setq anvillm-buffer-session id anvillm-buffer--format format anvillm-buffer-known-name name
        anvillm-buffer--given (buffer-name))
  (add-hook 'anvillm-session-functions #'anvillm-buffer--changed)
  (add-hook 'anvillm-link-hook #'anvillm-buffer--link-changed))

(defun anvillm-buffer-aim (id)
  "Let this buffer belong to the session ID instead."
  (setq anvillm-buffer-session id)
  (anvillm-buffer--rename))

(defun anvillm-buffer--rename ()
  "Call this buffer what its session is called now."
  (let* ((id anvillm-buffer-session) (known (anvillm-session id)))
    (when known (setq anvillm-buffer-known-name (anvillm-name id)))
    (when (and (equal (buffer-name) anvillm-buffer--given)
               (or known (eq (anvillm-link-status) 'live)))
      (let ((title (anvillm-buffer--title
                    anvillm-buffer--format
                    (concat anvillm-buffer-known-name
                            (if (or known (equal id "user")) "" " (killed)")))))
        ;; One that had to be told from another of that name keeps its number.
        (unless (string-prefix-p title (replace-regexp-in-string "<[0-9]+>\\'" "" (buffer-name)))
          (setq anvillm-buffer--given (rename-buffer title t)))))))

(defun anvillm-buffer--changed (id)
  "Session ID, or any if it is nil, may have another name, or be gone."
  (dolist (buffer (buffer-list))
    (let ((its (buffer-local-value 'anvillm-buffer-session buffer)))
      (when (and its (buffer-local-value 'anvillm-buffer--format buffer)
                 (or (null id) (equal id its)))
        (with-current-buffer buffer
          (anvillm-buffer--rename)
          (force-mode-line-update))))))

(defun anvillm-buffer--link-changed ()
  "Which sessions there are is known for sure again."
  (when (eq (anvillm-link-status) 'live) (anvillm-buffer--changed nil)))

(provide 'anvillm-buffer)
;;; anvillm-buffer.el ends here
