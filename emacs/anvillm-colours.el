;;; anvillm-colours.el --- The colours of a terminal  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Texts come plain, and beside them stands where a terminal would change its
;; colours: a list of (CHARACTERS SGR), the number of characters before a change and
;; the parameters of the sequence.  Here they get the faces of ansi-color.el.

;;; Code:

(require 'ansi-color)
(require 'cl-lib)
(require 'subr-x)

(defconst anvillm-colours-most 1000 "How many changes of a text are kept.")

(defun anvillm-colours-after (before change)
  "Return the parameters that hold after CHANGE, if BEFORE held until then."
  (cond ((string-match-p "\\`0*\\(;\\|\\'\\)" change) change)
        ((or (string-empty-p before) (> (length before) 200)) change)
        (t (concat before ";" change))))

(defun anvillm-colours-apply (text colours &optional before)
  "Return TEXT in COLOURS; the parameters BEFORE hold where it begins."
  (let ((at 0) (parts (list (format "\e[%sm" (or before "")))) (ansi-color-context nil))
    (pcase-dolist (`(,characters ,change) colours)
      (let ((to (min (length text) (max at characters))))
        (push (substring text at to) parts)
        (push (format "\e[%sm" change) parts)
        (setq at to)))
    (push (substring text at) parts)
    (anvillm-colours--shown (ansi-color-apply (apply #'concat (nreverse parts))))))

(defun anvillm-colours--shown (text)
  "Return TEXT with the property `face' in place of `font-lock-face'."
  (let ((at 0))
    (while (< at (length text))
      (let ((to (next-single-property-change at 'font-lock-face text (length text)))
            (face (get-text-property at 'font-lock-face text)))
        (when face
          (put-text-property at to 'face face text)
          (remove-list-of-text-properties at to '(font-lock-face) text))
        (setq at to)))
    text))

(provide 'anvillm-colours)
;;; anvillm-colours.el ends here
