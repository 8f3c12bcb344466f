;;; anvillm-order.el --- In which order sessions are listed  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; In which order sessions are listed, and where in the list the row of one is.  Rows
;; that change are found, and moved, without a look at all the others: each carries in
;; its text property `anvillm-key' what it is sorted by, so a place among a thousand is
;; found in ten steps.

;;; Code:

(require 'anvillm-columns)

(defcustom anvillm-list-needing-first t
  "Non-nil to list the sessions first that need you.
They ask, have failed, are held or wrote to you.  Where the list is sorted by a
column, that counts."
  :type 'boolean
  :group 'anvillm)

(defun anvillm-list-key (session)
  "Return what SESSION is sorted by, a string or number, or nil."
  (pcase (car (rassoc (car tabulated-list-sort-key) anvillm-list-titles))
    ('nil (and anvillm-list-needing-first
               (pcase (anvillm-needs session) ('ask 0) ('error 1) ('held 2) ('mail 3) (_ 4))))
    ('when (or (plist-get session :changed) 0))
    ('mail (or (plist-get session :unread) 0))
    ('queue (or (plist-get session :queued) 0))
    (column (downcase (substring-no-properties (anvillm-list-cell column session))))))

(defun anvillm-list-less-p (a b)
  "Return non-nil if the key A comes before B."
  (cond ((and (numberp a) (numberp b)) (< a b))
        ((and (stringp a) (stringp b)) (string-lessp a b))))

(defvar-local anvillm-order--keys nil "What the rows of this list are sorted by, by id.")
(defvar anvillm-order--ranks (make-hash-table :test #'equal) "Places in `anvillm-order' by id.")
(defvar anvillm-order--ranked nil "The value of `anvillm-order' that the ranks are of.")

(defun anvillm-order--rank (id)
  "Return a number that is greater the later session ID was made."
  (unless (eq anvillm-order--ranked anvillm-order)
    (clrhash anvillm-order--ranks)
    (cl-loop for one in anvillm-order and n from 0 do (puthash one n anvillm-order--ranks))
    (setq anvillm-order--ranked anvillm-order))
  (gethash id anvillm-order--ranks -1))

(defun anvillm-order-of (sessions)
  "Return the ids of SESSIONS, oldest first, in the order in which they are listed."
  (if (not (or tabulated-list-sort-key anvillm-list-needing-first))
      (mapcar #'anvillm-id sessions)
    (let ((rows (mapcar (lambda (s) (cons (anvillm-list-key s) (anvillm-id s))) sessions))
          (down (cdr tabulated-list-sort-key)))
      ;; Sorting is stable: equals stay in the order they were made.
      (mapcar #'cdr (sort rows (if down (lambda (a b) (anvillm-list-less-p (car b) (car a)))
                                 (lambda (a b) (anvillm-list-less-p (car a) (car b)))))))))

;;;; Rows

(defun anvillm-order-forget (&optional id)
  "The row of session ID is gone from this list; all are if it is nil."
  (when anvillm-order--keys
    (if id (remhash id anvillm-order--keys) (clrhash anvillm-order--keys))))

(defun anvillm-order-keep (id line)
  "Let LINE, the row of session ID, carry what it is sorted by."
  (let ((key (anvillm-list-key (anvillm-session id))))
    (puthash id key (or anvillm-order--keys
                        (setq anvillm-order--keys (make-hash-table :test #'equal))))
    (put-text-property 0 (length line) 'anvillm-key key line)
    line))

(defun anvillm-order-place (id key)
  "Return where the row of session ID belongs, or is, if it is sorted by KEY."
  (let ((low (point-min)) (high (point-max)) (rank (anvillm-order--rank id))
        (down (cdr tabulated-list-sort-key)))
    (save-excursion
      (while (< low high)
        (goto-char (/ (+ low high) 2))
        (forward-line 0)
        (let* ((its (get-text-property (point) 'anvillm-key)) (at (point))
               (its-id (get-text-property at 'tabulated-list-id)))
          (if (cond ((anvillm-list-less-p its key) (not down))
                    ((anvillm-list-less-p key its) down)
                    (t (< (anvillm-order--rank its-id) rank)))
              (progn (forward-line) (setq low (point)))
            (setq high at)))))
    low))

(defun anvillm-order-row (id)
  "Return where the row of session ID begins, or nil."
  (let ((key (if anvillm-order--keys (gethash id anvillm-order--keys 'none) 'none)))
    (unless (eq key 'none)
      (let ((at (anvillm-order-place id key)))
        (if (equal id (get-text-property at 'tabulated-list-id)) at
          (anvillm-rows-at id)))))) ; its number is another since it was drawn

(provide 'anvillm-order)
;;; anvillm-order.el ends here
