;;; anvillm-manual.el --- The manual, wherever it is  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The manual is in Info where the package was installed with it.  In a checkout,
;; and where `package-vc' has put one, there is its source alone: Info is made of
;; that the first time.

;;; Code:

(require 'info)
(require 'anvillm-core)

(defun anvillm-manual--source ()
  "Return the name of the manual's source, beside the package."
  (expand-file-name "anvillm.texi" (file-name-directory (locate-library "anvillm-manual"))))

;;;###autoload
(defun anvillm-manual ()
  "Read the manual."
  (interactive)
  (let* ((source (anvillm-manual--source))
         (installed (concat (file-name-sans-extension source) ".info"))
         (made (expand-file-name "anvillm.info" anvillm-data-directory)))
    (cond ((Info-find-file "anvillm" t) (info "(anvillm)"))
          ((file-newer-than-file-p installed source) (info installed))
          ((not (file-exists-p source)) (user-error "The manual is not here: no %s" source))
          ((file-newer-than-file-p made source) (info made))
          ((executable-find "makeinfo") (anvillm-manual--make source made))
          (t (view-file source)))))

(defun anvillm-manual--make (source made)
  "Make MADE, for Info, of SOURCE, and show it."
  (make-directory anvillm-data-directory t)
  (message "Making the manual...")
  (make-process
   :name "anvillm-manual" :noquery t :connection-type 'pipe
   :buffer (generate-new-buffer " *anvillm makeinfo*")
   :command (list "makeinfo" "--no-split" "-o" made source)
   :sentinel (lambda (process _)
               (unless (process-live-p process)
                 (let ((said (with-current-buffer (process-buffer process) (buffer-string))))
                   (kill-buffer (process-buffer process))
                   (if (= 0 (process-exit-status process)) (info made)
                     (message "The manual could not be made: %s" said)))))))

(provide 'anvillm-manual)
;;; anvillm-manual.el ends here
