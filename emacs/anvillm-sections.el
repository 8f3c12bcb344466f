;;; anvillm-sections.el --- A review in sections of Magit  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Where the library of Magit's sections is installed, a review is made of them: a
;; section for each file, and in it one for each hunk, which fold as they do in
;; Magit.  The text is the same with and without.

;;; Code:

(require 'cl-lib)
(require 'diff-mode)

(declare-function magit-section-toggle "ext:magit-section" (section))
(declare-function magit-section-cycle-global "ext:magit-section" ())
(declare-function eieio-oset "eieio" (obj slot value))
(defvar magit-root-section)

(defun anvillm-sections--new (type value start end parent)
  "Return a new section of TYPE for VALUE from START to END, below PARENT."
  (let ((section (make-instance 'magit-section)))
    (pcase-dolist (`(,slot . ,to)
                   `((type . ,type) (value . ,value) (parent . ,parent) (hidden . nil)
                     (start . ,(copy-marker start)) (end . ,(copy-marker end))
                     (content . ,(and parent (copy-marker (anvillm-sections--below start end))))))
      (eieio-oset section slot to))
    (put-text-property start end 'magit-section section)
    section))

(defun anvillm-sections--below (start end)
  "Return where what is folded begins of a section from START to END."
  (save-excursion (goto-char start) (min end (line-beginning-position 2))))

(defun anvillm-sections--parts (regexp start end)
  "Return what begins with a match of REGEXP from START to END.
It is a list of pairs (START . END)."
  (save-excursion
    (goto-char start)
    (let (starts)
      (while (re-search-forward regexp end t) (push (match-beginning 0) starts))
      (setq starts (nreverse starts))
      (cl-mapcar #'cons starts (append (cdr starts) (list end))))))

(defun anvillm-sections-make ()
  "Make sections of the diff in this buffer; return nil where there are none."
  (when (require 'magit-section nil t)
    (let ((root (anvillm-sections--new 'diff nil (point-min) (point-max) nil)))
      (setq-local magit-root-section root)
      (add-to-invisibility-spec t)
      (eieio-oset root 'children
                  (mapcar (lambda (file) (anvillm-sections--file file root))
                          (anvillm-sections--parts "^diff " (point-min) (point-max))))
      t)))

(defun anvillm-sections--file (file root)
  "Return a section below ROOT for FILE, a pair of its bounds, with its hunks."
  (pcase-let* ((`(,start . ,end) file)
               (name (save-excursion (goto-char start)
                                     (buffer-substring-no-properties (point) (line-end-position))))
               (section (anvillm-sections--new 'file name start end root)))
    (eieio-oset section 'children
                (mapcar (pcase-lambda (`(,start . ,end))
                          (anvillm-sections--new 'hunk (cons name (- end start)) start end section))
                        (anvillm-sections--parts "^@@ " start end)))
    section))

(defun anvillm-sections-toggle ()
  "Fold or unfold the file or hunk at point; without Magit go to the next hunk."
  (interactive)
  (let ((section (get-text-property (point) 'magit-section)))
    (cond ((not section) (diff-hunk-next))
          ((eq section (bound-and-true-p magit-root-section)) (user-error "There is no file here"))
          (t (magit-section-toggle section)))))

(defun anvillm-sections-cycle ()
  "Fold or unfold all files and hunks; without Magit go to the hunk before."
  (interactive)
  (if (bound-and-true-p magit-root-section)
      (magit-section-cycle-global)
    (diff-hunk-prev)))

(provide 'anvillm-sections)
;;; anvillm-sections.el ends here
