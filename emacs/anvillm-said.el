;;; anvillm-said.el --- What an agent has done, as it is kept  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What is known of an entry of a conversation (anvillm-entry.el): the newest object
;; of each kind, and how a text has grown.  A long conversation has a hundred
;; thousand values in these, and each is looked at whenever garbage is collected, for
;; which every key waits.  So but for the last few entries they are kept as one string
;; each, and read again when they are needed.

;;; Code:

(require 'cl-lib)
(require 'anvillm-colours)

(cl-defstruct (anvillm-entry (:copier nil))
  "KIND is that of the first object; SAID has the newest object of each kind.
PACKED is what is in SAID, as a string, or nil.  SIZE is that of its text, and SGR
the parameters of the colours in which that ends."
  kind key turn time parent said packed parts open heads drawn (size 0) (sgr ""))

;;;; Packing

(defconst anvillm-said--most 64 "How many entries are not packed before some are.")

(defvar anvillm-said--loose nil "Entries that are not packed, the newest first.")
(defvar anvillm-said--count 0 "How many there are.")

(defun anvillm-said--loosen (entry)
  "Remember that ENTRY is not packed.
Those that have not been needed for longest are, if there are many."
  (push entry anvillm-said--loose)
  (when (> (cl-incf anvillm-said--count) anvillm-said--most)
    (let ((kept (/ anvillm-said--most 2)))
      (mapc #'anvillm-said--pack (nthcdr kept anvillm-said--loose))
      (setcdr (nthcdr (1- kept) anvillm-said--loose) nil)
      (setq anvillm-said--count kept))))

(defun anvillm-said--pack (entry)
  "Keep what is known of ENTRY as a string.
What it has grown by is another."
  (let (print-length print-level print-circle print-escape-newlines print-escape-nonascii
                     print-escape-multibyte print-escape-control-characters)
    (setf (anvillm-entry-packed entry) (prin1-to-string (anvillm-entry-said entry))
          (anvillm-entry-said entry) nil))
  (when (cdr (anvillm-entry-parts entry))
    (setf (anvillm-entry-parts entry)
          (list (apply #'concat (reverse (anvillm-entry-parts entry)))))))

(defun anvillm-said (entry)
  "Return what is known of ENTRY, an alist by kind."
  (let ((packed (cl-shiftf (anvillm-entry-packed entry) nil)))
    (when packed
      (setf (anvillm-entry-said entry) (car (read-from-string packed)))
      (anvillm-said--loosen entry)))
  (anvillm-entry-said entry))

;;;; What is known

(defun anvillm-entry-get (entry kind)
  "Return the newest object of KIND in ENTRY, or nil."
  (cdr (assoc kind (anvillm-said entry))))

(defun anvillm-entry-edits (entry)
  "Return the edits of ENTRY, in order."
  (let (edits)
    (dolist (one (anvillm-said entry))
      (when (consp (car one)) (push one edits)))
    (mapcar #'cdr (sort edits (lambda (a b) (< (cdar a) (cdar b)))))))

(defun anvillm-entry-put (entry object)
  "Let ENTRY know OBJECT, in place of what it had of that kind or after it."
  (let* ((kind (plist-get object :kind)) (part (plist-get object :part))
         (kind (if (equal kind "edit") (cons kind (or (plist-get object :n) 1)) kind))
         (said (anvillm-said entry)) (old (assoc kind said)))
    (when (plist-member object :text)
      (setf (anvillm-entry-parts entry) nil
            (anvillm-entry-size entry) 0
            (anvillm-entry-sgr entry) "")
      (setq object (plist-put object :colours (plist-get object :colours))))
    (anvillm-entry--grown entry object (plist-get (cdr old) :colours))
    (when part
      (push part (anvillm-entry-parts entry))
      (setq object (plist-put object :part nil)))
    (cond (old (cl-loop for (key value) on object by #'cddr
                        do (setcdr old (plist-put (cdr old) key value))))
          (t (unless said (anvillm-said--loosen entry))
             (push (cons kind object) (anvillm-entry-said entry))))))

(defun anvillm-entry--grown (entry object colours)
  "Note by how much the text of ENTRY grows with OBJECT, and its colours.
Those of a part are put behind the COLOURS of what was there before."
  (let ((size (anvillm-entry-size entry)) (more (plist-get object :colours))
        (text (or (plist-get object :part) (plist-get object :text))))
    (when more
      (dolist (change more)
        (setf (anvillm-entry-sgr entry)
              (anvillm-colours-after (anvillm-entry-sgr entry) (cadr change))))
      (when (plist-get object :part)
        (plist-put object :colours
                   (if (nthcdr anvillm-colours-most colours) colours
                     (nconc colours (cl-loop for (at . change) in more
                                             collect (cons (+ size at) change)))))))
    (when text (setf (anvillm-entry-size entry) (+ size (length text))))))

(defun anvillm-entry-colours (entry kind)
  "Return the colours of the text that ENTRY has of KIND, or nil."
  (plist-get (anvillm-entry-get entry kind) :colours))

(defun anvillm-entry-coloured (entry kind)
  "Return the text that ENTRY has of KIND in its colours."
  (let ((text (anvillm-entry-text entry kind)) (colours (anvillm-entry-colours entry kind)))
    (if colours (anvillm-colours-apply text colours) text)))

(defun anvillm-entry-text (entry kind)
  "Return the text that ENTRY has of KIND, with what has come in parts."
  (let ((text (plist-get (anvillm-entry-get entry kind) :text)) (parts (anvillm-entry-parts entry)))
    (if parts (apply #'concat text (reverse parts)) (or text ""))))

(provide 'anvillm-said)
;;; anvillm-said.el ends here
