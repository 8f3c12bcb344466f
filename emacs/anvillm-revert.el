;;; anvillm-revert.el --- Buffers of files that agents change  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; When a turn is over, buffers of files that it has changed are read again, if
;; you have not changed them too; else you are told which they are.

;;; Code:

(require 'anvillm-core)

(defvar vc-handled-backends)

(defcustom anvillm-revert-buffers t
  "Non-nil to read files again that a turn has changed, where they are visited.
Buffers that you have changed yourself are only named."
  :type 'boolean
  :group 'anvillm)

(defun anvillm-revert--event (event)
  "Read what has changed in the turn that ended by EVENT."
  (when (and anvillm-revert-buffers (equal (plist-get event :type) "response"))
    (let ((cwd (anvillm-get (plist-get event :session_id) :cwd)))
      (when (and cwd (not (file-remote-p cwd)))
        (anvillm-revert-below (file-name-as-directory cwd)
                              (anvillm-name (plist-get event :session_id)))))))

(defun anvillm-revert-below (directory who)
  "Read visited files below DIRECTORY again that WHO has changed."
  (let (both)
    (dolist (buffer (buffer-list))
      (let ((file (buffer-local-value 'buffer-file-name buffer)))
        (when (and file (not (file-remote-p file)) (string-prefix-p directory (file-truename file))
                   (not (verify-visited-file-modtime buffer)) (file-readable-p file))
          (if (buffer-modified-p buffer) (push (buffer-name buffer) both)
            (with-current-buffer buffer
              (condition-case err
                  (let (vc-handled-backends) (revert-buffer t t t))
                (error (message "%s: %s" (buffer-name) (error-message-string err)))))))))
    (when both
      (message "%s has changed files that you have changed too: %s" who
               (string-join (nreverse both) ", ")))))

(add-hook 'anvillm-event-functions #'anvillm-revert--event)

(provide 'anvillm-revert)
;;; anvillm-revert.el ends here
