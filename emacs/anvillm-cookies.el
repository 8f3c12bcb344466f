;;; anvillm-cookies.el --- Autoloads where none were made  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The parts of the package are loaded when they are first used.  A package
;; manager makes the autoloads for that from the cookies in the files.  Loaded
;; from a checkout there are none: then the cookies are read here.

;;; Code:

(defun anvillm-cookies--of (form feature)
  "Do for FORM, behind a cookie in FEATURE, what an autoload file would."
  (pcase form
    (`(defun ,name ,_ . ,body)
     (unless (fboundp name)
       (autoload name feature (and (stringp (car body)) (car body))
         (and (assq 'interactive (seq-filter #'consp body)) t))))
    (`(define-minor-mode ,name ,doc . ,_)
     (unless (fboundp name) (autoload name feature doc t)))
    (`(autoload ',name . ,_)
     (unless (fboundp name) (eval form t)))
    (_ (eval form t))))

(defun anvillm-cookies--read (file)
  "Act on the cookies in FILE."
  (with-temp-buffer
    (insert-file-contents file)
    (while (re-search-forward "^;;;###autoload *" nil t)
      (anvillm-cookies--of (read (current-buffer)) (file-name-base file)))))

(defun anvillm-cookies--all (directory)
  "Load what was made of the cookies in DIRECTORY, or else read them."
  (let ((made (expand-file-name "anvillm-autoloads.el" directory)))
    (if (file-exists-p made)
        (load made nil t)
      (mapc #'anvillm-cookies--read (directory-files directory t "\\`anvillm.*\\.el\\'")))))

(unless (fboundp 'anvillm-review)
  (anvillm-cookies--all (file-name-directory (or load-file-name buffer-file-name))))

(provide 'anvillm-cookies)
;;; anvillm-cookies.el ends here
