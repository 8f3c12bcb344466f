;;; anvillm-rows.el --- Rows that change under the reader  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Buffers of rows, one line each, that carry their id in the text property
;; `tabulated-list-id'.  What the table mode of Emacs 28 does not do is done
;; here: a row is changed, moved or taken away in place, and whatever is drawn,
;; point and scroll of every window stay with the row they were on.

;;; Code:

(require 'cl-lib)
(require 'tabulated-list)
(require 'anvillm-core)
(require 'anvillm-garbage)
(require 'anvillm-window)

(defun anvillm-rows-fit (text width)
  "Return TEXT cut or filled to WIDTH columns."
  (let ((w (string-width text)))
    (cond ((= w width) text)
          ((< w width) (concat text (make-string (- width w) ?\s)))
          ((= w (length text)) (concat (substring text 0 (1- width)) "…"))
          (t (truncate-string-to-width text width nil ?\s "…")))))

(defun anvillm-rows-fit-tail (text width)
  "Return TEXT filled to WIDTH columns, or cut at its beginning."
  (let ((n (length text)))
    (anvillm-rows-fit (if (<= n width) text (concat "…" (substring text (- n (1- width))))) width)))

(defun anvillm-rows-trim (text)
  "Return TEXT without spaces at its end."
  (let ((end (length text)))
    (while (and (> end 0) (eq (aref text (1- end)) ?\s)) (setq end (1- end)))
    (substring text 0 end)))

(defun anvillm-rows-at (id)
  "Return where the line of row ID begins, or nil."
  (let ((at (point-min)) found)
    (while (and at (not found))
      (if (equal id (get-text-property at 'tabulated-list-id))
          (setq found at)
        (setq at (next-single-property-change at 'tabulated-list-id))))
    found))

(defun anvillm-rows--places ()
  "Return where point and every window on this buffer are, by rows."
  (cl-flet ((place (at) (save-excursion
                          (goto-char at)
                          (list (tabulated-list-get-id) (- at (line-beginning-position))
                                (line-number-at-pos)))))
    (cons (place (point))
          (mapcar (lambda (w) (list w (place (window-point w)) (place (window-start w))))
                  (get-buffer-window-list nil nil t)))))

(defun anvillm-rows--go (place)
  "Return the position of PLACE, or the nearest to it."
  (pcase-let ((`(,id ,column ,line) place))
    (save-excursion
      (let ((at (and id (anvillm-rows-at id))))
        (if at (goto-char at)
          (goto-char (point-min))
          (forward-line (1- line)))
        (min (+ (point) column) (line-end-position))))))

(defun anvillm-rows-reading ()
  "Say that the rows are being read, where there are none yet."
  (when (= (point-min) (point-max))
    (anvillm-drawing () (insert "\n  Reading...\n"))
    (goto-char (point-min))))

(defun anvillm-rows-draw (ids line &optional guide)
  "Redraw the rows of IDS, each by LINE; every window stays where it was.
GUIDE inserts what is to be said where there are none."
  (anvillm-garbage-later) ; a thousand rows are not worth six collections
  (anvillm-drawing ((places (anvillm-rows--places)))
    (erase-buffer)
    (insert (mapconcat line ids ""))
    (when (and guide (= (point-min) (point-max))) (funcall guide))
    (goto-char (anvillm-rows--go (car places)))
    (pcase-dolist (`(,window ,point ,start) (cdr places))
      (set-window-point window (anvillm-rows--go point))
      (set-window-start window (anvillm-rows--go start) t))))

(defun anvillm-rows-replace (at line)
  "Put LINE in place of the one AT, unless it is the same."
  (let ((end (save-excursion (goto-char at) (line-beginning-position 2))))
    (unless (equal-including-properties (buffer-substring at end) line)
      (let ((riders (anvillm-rows-riders at)))
        (save-excursion
          (goto-char at)
          (insert line)
          (delete-region (point) (+ (point) (- end at))))
        (anvillm-rows-ride riders at)))))

(defun anvillm-rows-riders (at)
  "Return who has point on the line that begins AT: (WINDOW . COLUMN)...
A window of nil stands for the buffer's own point."
  (let ((end (save-excursion (goto-char at) (line-end-position))))
    (cl-loop for (window . point) in (cons (cons nil (point))
                                           (mapcar (lambda (w) (cons w (window-point w)))
                                                   (get-buffer-window-list nil nil t)))
             when (<= at point end) collect (cons window (- point at)))))

(defun anvillm-rows-ride (riders at)
  "Put the points of RIDERS on the line that begins AT."
  (let ((end (save-excursion (goto-char at) (line-end-position))))
    (pcase-dolist (`(,window . ,column) riders)
      (if window (set-window-point window (min end (+ at column)))
        (goto-char (min end (+ at column)))))))

(defun anvillm-rows-insert (line)
  "Insert LINE; windows that start here go on showing what they did."
  (let* ((at (point))
         (windows (cl-remove-if-not (lambda (w) (and (= (window-start w) at) (> at (point-min))))
                                    (get-buffer-window-list nil nil t)))
         (points (cl-remove-if-not (lambda (w) (= (window-point w) at))
                                   (get-buffer-window-list nil nil t))))
    (insert line)
    (dolist (w windows) (set-window-start w (+ at (length line)) t))
    (dolist (w points) (set-window-point w (+ at (length line))))))

(provide 'anvillm-rows)
;;; anvillm-rows.el ends here
