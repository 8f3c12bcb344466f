;;; anvillm-history.el --- The prompts that were sent  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Prompts that were sent are kept on disk, a string of JSON a line, the newest last,
;; so that the next Emacs has them too.

;;; Code:

(require 'anvillm-core)

(defcustom anvillm-history-length 500
  "How many of the prompts that were sent are kept on disk; 0 for none."
  :type 'natnum
  :group 'anvillm)

(defvar anvillm-prompt-history nil "Prompts sent, newest first.")
(defvar anvillm-history-loaded nil "Non-nil once the prompts on disk have been read.")

(defun anvillm-history--file ()
  "Return the file of what was sent."
  (expand-file-name "history" anvillm-data-directory))

(defun anvillm-history-load ()
  "Read what was sent from an earlier Emacs, once."
  (unless anvillm-history-loaded
    (setq anvillm-history-loaded t)
    (let ((file (anvillm-history--file)) found)
      (when (file-readable-p file)
        (with-temp-buffer
          (set-buffer-multibyte nil)
          (insert-file-contents-literally file)
          (dolist (line (split-string (buffer-string) "\n" t))
            (let ((text (ignore-errors (anvillm-json line))))
              (when (stringp text) (push text found)))))
        (when (> (length found) (* 2 anvillm-history-length))
          (setq found (seq-take found anvillm-history-length))
          (delete-file file)
          (mapc #'anvillm-history-keep (reverse found))))
      (setq anvillm-prompt-history
            (append anvillm-prompt-history (seq-take found anvillm-history-length))))))

(defun anvillm-history-keep (text)
  "Put TEXT, a prompt that was sent, behind those on disk."
  (when (> anvillm-history-length 0)
    (with-file-modes #o700 (make-directory anvillm-data-directory t))
    (with-file-modes #o600
      (let ((coding-system-for-write 'utf-8-unix) (write-region-annotate-functions nil))
        (write-region (concat (json-encode text) "\n") nil (anvillm-history--file) t 'silent)))))

(defun anvillm-history-add (text)
  "Put TEXT, a prompt that was sent, into the history, here and on disk."
  (anvillm-history-load)
  (add-to-history 'anvillm-prompt-history text)
  (anvillm-history-keep text))

(provide 'anvillm-history)
;;; anvillm-history.el ends here
