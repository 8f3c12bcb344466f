;;; anvillm-fold.el --- Folding what is long  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Long blocks and long lines are folded behind a label, by overlays, and shown
;; again.

;;; Code:

(require 'anvillm-core)

(defcustom anvillm-fold-lines 40
  "Blocks with more lines than this are folded to so many; nil folds nothing."
  :type '(choice natnum (const :tag "Never" nil))
  :group 'anvillm)

(defcustom anvillm-fold-columns 4000
  "Lines with more characters than this are folded; nil folds none."
  :type '(choice natnum (const :tag "Never" nil))
  :group 'anvillm)

(defun anvillm-fold (start end label)
  "Fold what is between START and END behind LABEL."
  (let ((overlay (make-overlay start end nil t)))
    (overlay-put overlay 'anvillm-fold t)
    (overlay-put overlay 'evaporate t)
    (overlay-put overlay 'isearch-open-invisible #'anvillm-fold-open)
    (overlay-put overlay 'invisible 'anvillm-fold)
    (anvillm-fold-label overlay label)
    overlay))

(defun anvillm-fold-label (overlay label)
  "Show LABEL where OVERLAY hides text."
  (let ((shown (concat (propertize label 'face 'shadow)
                       (propertize " (TAB)" 'face 'anvillm-id))))
    (overlay-put overlay 'anvillm-label shown)
    (when (overlay-get overlay 'invisible) (overlay-put overlay 'before-string shown))))

(defun anvillm-fold-open (overlay)
  "Show what OVERLAY hides."
  (overlay-put overlay 'invisible nil)
  (overlay-put overlay 'before-string nil))

(defconst anvillm-fold--step 20000 "How much more of a line is shown at a time.")

(defun anvillm-fold-more (overlay)
  "Show what OVERLAY hides.
Of a huge line only more is shown, so much as Emacs can display at once."
  (let* ((start (overlay-start overlay)) (end (overlay-end overlay))
         (from (+ start anvillm-fold--step)))
    (if (or (< (- end from) anvillm-fold--step)
            (save-excursion (goto-char start) (search-forward "\n" from t)))
        (anvillm-fold-open overlay)
      (move-overlay overlay from end)
      (anvillm-fold-label overlay (format "… %d more characters" (- end from))))))

(defun anvillm-fold-close (overlay)
  "Hide what OVERLAY covers."
  (overlay-put overlay 'invisible 'anvillm-fold)
  (overlay-put overlay 'before-string (overlay-get overlay 'anvillm-label)))

(provide 'anvillm-fold)
;;; anvillm-fold.el ends here
