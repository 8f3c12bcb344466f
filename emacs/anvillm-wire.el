;;; anvillm-wire.el --- Messages of 9P2000 for AnviLLM  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A message of 9P2000 (intro(5) of Plan 9) is a list (TYPE TAG FIELD...),
;; with TYPE a symbol such as `Tread'.  One table says which fields a type has;
;; encoding, decoding and the readable line of the traffic buffer all come from
;; it.  Nothing here does input or output.

;;; Code:

(require 'cl-lib)

(define-error 'anvillm-error "AnviLLM")
(define-error 'anvillm-9p-error "9P" 'anvillm-error)

(defconst anvillm-wire-notag #xffff "The tag of Tversion.")
(defconst anvillm-wire-nofid #xffffffff "The fid that stands for none.")
(defconst anvillm-wire-oread 0 "Open mode: read.")
(defconst anvillm-wire-owrite 1 "Open mode: write.")
(defconst anvillm-wire-ordwr 2 "Open mode: read and write.")
(defconst anvillm-wire-otrunc #x10 "Open mode bit: truncate.")

(defconst anvillm-wire--table
  ;; Kinds: an integer is that many bytes, little endian; s a string; n a list
  ;; of strings; d bytes counted by 4; b bytes counted by 2; q a qid as
  ;; (TYPE VERSION PATH); l a list of qids.
  '((Tversion 100 (4 . msize) (s . version)) (Rversion 101 (4 . msize) (s . version))
    (Tauth 102 (4 . afid) (s . uname) (s . aname)) (Rauth 103 (q . aqid))
    (Tattach 104 (4 . fid) (4 . afid) (s . uname) (s . aname)) (Rattach 105 (q . qid))
    (Rerror 107 (s . ename))
    (Tflush 108 (2 . oldtag)) (Rflush 109)
    (Twalk 110 (4 . fid) (4 . newfid) (n . names)) (Rwalk 111 (l . qids))
    (Topen 112 (4 . fid) (1 . mode)) (Ropen 113 (q . qid) (4 . iounit))
    (Tcreate 114 (4 . fid) (s . name) (4 . perm) (1 . mode)) (Rcreate 115 (q . qid) (4 . iounit))
    (Tread 116 (4 . fid) (8 . offset) (4 . count)) (Rread 117 (d . data))
    (Twrite 118 (4 . fid) (8 . offset) (d . data)) (Rwrite 119 (4 . count))
    (Tclunk 120 (4 . fid)) (Rclunk 121)
    (Tremove 122 (4 . fid)) (Rremove 123)
    (Tstat 124 (4 . fid)) (Rstat 125 (b . stat))
    (Twstat 126 (4 . fid) (b . stat)) (Rwstat 127))
  "Every message: (TYPE NUMBER (KIND . FIELD)...).")

(defconst anvillm-wire--by-number
  (let ((v (make-vector 128 nil)))
    (dolist (row anvillm-wire--table) (aset v (nth 1 row) row))
    v)
  "Rows of `anvillm-wire--table' by message number.")

;;;; Encoding

(defun anvillm-wire--int (n width)
  "Return N as WIDTH bytes, little endian."
  (let ((s (make-string width 0)))
    (dotimes (i width)
      (aset s i (logand (ash n (* -8 i)) 255)))
    s))

(defun anvillm-wire--string (s)
  "Return S in UTF-8 behind its length in bytes."
  (let ((bytes (if (multibyte-string-p s) (encode-coding-string s 'utf-8 t) s)))
    (when (> (length bytes) #xffff)
      (signal 'anvillm-9p-error (list "string too long")))
    (concat (anvillm-wire--int (length bytes) 2) bytes)))

(defun anvillm-wire--qid (qid)
  "Return the 13 bytes of QID."
  (concat (unibyte-string (nth 0 qid))
          (anvillm-wire--int (nth 1 qid) 4) (anvillm-wire--int (nth 2 qid) 8)))

(defun anvillm-wire--field (kind value)
  "Return VALUE encoded as KIND."
  (pcase kind
    ((pred integerp) (anvillm-wire--int value kind))
    ('s (anvillm-wire--string value))
    ('n (concat (anvillm-wire--int (length value) 2) (mapconcat #'anvillm-wire--string value "")))
    ('d (concat (anvillm-wire--int (length value) 4) value))
    ('b (concat (anvillm-wire--int (length value) 2) value))
    ('q (anvillm-wire--qid value))
    ('l (concat (anvillm-wire--int (length value) 2) (mapconcat #'anvillm-wire--qid value "")))))

(defun anvillm-wire-encode (type tag &rest fields)
  "Return the frame of a message TYPE with TAG and FIELDS, a unibyte string."
  (let* ((row (or (assq type anvillm-wire--table) (error "No 9P message %s" type)))
         (body (apply #'concat (cl-mapcar (lambda (f v) (anvillm-wire--field (car f) v))
                                          (cddr row) fields))))
    (concat (anvillm-wire--int (+ 7 (length body)) 4)
            (unibyte-string (nth 1 row)) (anvillm-wire--int tag 2) body)))

;;;; Decoding

(defvar anvillm-wire--bytes "" "The bytes being decoded.")
(defvar anvillm-wire--at 0 "Where decoding is in `anvillm-wire--bytes'.")
(defvar anvillm-wire--end 0 "Where the message in `anvillm-wire--bytes' ends.")

(defun anvillm-wire--take (count)
  "Step over COUNT bytes and return where they begin."
  (prog1 anvillm-wire--at
    (setq anvillm-wire--at (+ anvillm-wire--at count))
    (when (> anvillm-wire--at anvillm-wire--end)
      (signal 'anvillm-9p-error (list "malformed message")))))

(defun anvillm-wire-int-at (bytes at width)
  "Return the little-endian number of WIDTH bytes in BYTES at AT."
  (let ((n 0))
    (while (> width 0)
      (setq width (1- width) n (logior (ash n 8) (aref bytes (+ at width)))))
    n))

(defun anvillm-wire--get (kind)
  "Decode one field of KIND."
  (pcase kind
    ((pred integerp)
     (anvillm-wire-int-at anvillm-wire--bytes (anvillm-wire--take kind) kind))
    ('s (decode-coding-string (anvillm-wire--get 'b) 'utf-8 t))
    ((or 'd 'b)
     (let* ((n (anvillm-wire--get (if (eq kind 'd) 4 2))) (at (anvillm-wire--take n)))
       (substring anvillm-wire--bytes at (+ at n))))
    ('q (list (anvillm-wire--get 1) (anvillm-wire--get 4) (anvillm-wire--get 8)))
    ((or 'n 'l)
     (let (all)
       (dotimes (_ (anvillm-wire--get 2))
         (push (anvillm-wire--get (if (eq kind 'n) 's 'q)) all))
       (nreverse all)))))

(defun anvillm-wire-decode (bytes &optional start)
  "Return the message whose frame is in unibyte string BYTES at START.
Signal `anvillm-9p-error' if it is malformed."
  (let* ((start (or start 0))
         (anvillm-wire--bytes bytes)
         (anvillm-wire--end (min (length bytes) (+ start (anvillm-wire-int-at bytes start 4))))
         (anvillm-wire--at (+ start 4))
         (number (anvillm-wire--get 1))
         (row (or (and (< number 128) (aref anvillm-wire--by-number number))
                  (signal 'anvillm-9p-error (list (format "unknown message %d" number)))))
         (tag (anvillm-wire--get 2)))
    (cons (car row) (cons tag (mapcar (lambda (f) (anvillm-wire--get (car f))) (cddr row))))))

;;;; Reading by people

(defun anvillm-wire-format (message)
  "Return MESSAGE as one readable line."
  (let ((row (assq (car message) anvillm-wire--table))
        (print-escape-newlines t) (print-escape-control-characters t))
    (concat (symbol-name (car message)) " tag " (number-to-string (cadr message))
            (apply #'concat
                   (cl-mapcar
                    (lambda (f v)
                      (concat " " (symbol-name (cdr f)) " "
                              (if (memq (car f) '(d b))
                                  (format "%d %s" (length v)
                                          (prin1-to-string
                                           (truncate-string-to-width v 120 nil nil "…")))
                                (prin1-to-string v))))
                    (cddr row) (cddr message))))))

(provide 'anvillm-wire)
;;; anvillm-wire.el ends here
