;;; anvillm-load.el --- Load a library in pieces  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; To load the mode of a language loads all that it requires, which takes longer than
;; a key should wait: of Python in Emacs 28 that is TRAMP.  So what a library requires
;; at its beginning is loaded before it, one at a time, with pauses.

;;; Code:

(require 'cl-lib)

(defvar anvillm-load--tried nil "Features that were asked for already.")

(defun anvillm-load--needs (file)
  "Return the features that are required where FILE begins, as far as that is seen.
It is compiled, or a source."
  (when file
    (with-temp-buffer
      (insert-file-contents-literally file nil 0 4096)
      (let (found)
        (while (re-search-forward "[[( ]require +'?" nil t)
          ;; In compiled code these are constants, before names of functions and others.
          ;; What is none, as a word of a sentence, costs a look for it and no more.
          (while (and (looking-at "\\([a-z][-a-z0-9]*\\)[] )\n]+")
                      (let ((name (match-string 1)))
                        (not (or (member name '("nil" "t"))
                                 (and (fboundp (intern name))
                                      (not (autoloadp (symbol-function (intern name)))))))))
            (push (intern (match-string 1)) found)
            (goto-char (match-end 0))))
        (nreverse found)))))

(defun anvillm-load-piece (file)
  "Load a library that FILE needs and that needs no other.
Return nil if all are there."
  (let (path)
    (while (let ((next (cl-find-if-not (lambda (feature)
                                         (or (featurep feature) (memq feature path)
                                             (memq feature anvillm-load--tried)))
                                       (anvillm-load--needs file))))
             (when next
               (push next path)
               (setq file (locate-library (symbol-name next))))))
    (when path
      (push (car path) anvillm-load--tried)
      (ignore-errors (require (car path) nil t))
      t)))

(provide 'anvillm-load)
;;; anvillm-load.el ends here
