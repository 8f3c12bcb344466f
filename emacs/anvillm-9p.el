;;; anvillm-9p.el --- 9P client of AnviLLM  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A client of 9P2000 over a unix socket.  Everything is asynchronous: a
;; function starts an operation, returns it at once, and calls its CALLBACK
;; later with (RESULT ERROR), where ERROR is nil or a condition: of the symbol
;; `anvillm-9p-error' with the server's sentence, or `anvillm-9p-lost'.
;; `anvillm-9p-cancel' takes any operation back (Tflush), `anvillm-9p-sync'
;; waits for one, for a bounded time.

;;; Code:

(require 'anvillm-conn)

(cl-defstruct (anvillm-9p-op (:constructor anvillm-9p--make-op) (:copier nil)
                             (:conc-name anvillm-9p--op-))
  "One operation: a whole read, a whole write, a stream."
  conn fid walked tag callback inline doubt done)

;;;; Operations

(defvar anvillm-9p--inline nil
  "Non-nil while an operation is started whose callback may run in the filter.")

(defun anvillm-9p--begin (conn callback start)
  "Return a new operation on CONN with CALLBACK, begun by START with it."
  (let ((op (anvillm-9p--make-op :conn conn :callback callback :inline anvillm-9p--inline)))
    (cond ((anvillm-conn-ready conn) (funcall start op))
          ((anvillm-9p-live-p conn)
           (push (lambda () (unless (anvillm-9p--op-done op) (funcall start op)))
                 (anvillm-conn-blocked conn)))
          (t (anvillm-9p--finish op nil '(anvillm-9p-lost "not connected"))))
    op))

(defun anvillm-9p--finish (op result &optional err)
  "OP is over: clunk its fid, and deliver RESULT or ERR, once."
  (unless (anvillm-9p--op-done op)
    (setf (anvillm-9p--op-done op) t)
    (anvillm-9p--clunk op)
    (anvillm-9p--deliver op result err)))

(defun anvillm-9p--deliver (op result err)
  "Give RESULT or ERR to OP's callback."
  (when (anvillm-9p--op-callback op)
    (funcall (if (anvillm-9p--op-inline op) #'funcall #'anvillm-work)
             (anvillm-9p--op-callback op) result err)))

(defun anvillm-9p--clunk (op)
  "Give OP's fid back."
  (let ((fid (cl-shiftf (anvillm-9p--op-fid op) nil)) (conn (anvillm-9p--op-conn op)))
    (when fid
      (if (not (and (anvillm-9p--op-walked op) (anvillm-conn-ready conn)))
          (push fid (anvillm-conn-free-fids conn))
        (anvillm-9p-send conn (lambda (&rest _) (push fid (anvillm-conn-free-fids conn)))
                          'Tclunk fid)))))

(defun anvillm-9p--step (op k type &rest fields)
  "Send TYPE with FIELDS for OP and call K with the fields of the reply."
  (let ((conn (anvillm-9p--op-conn op)))
    (if (not (anvillm-conn-ready conn))
        (anvillm-9p--finish op nil '(anvillm-9p-lost "not connected"))
      (setf (anvillm-9p--op-tag op)
            (apply #'anvillm-9p-send conn
                   (lambda (reply fields)
                     (setf (anvillm-9p--op-tag op) nil)
                     (pcase reply
                       ('lost (setf (anvillm-9p--op-walked op) nil)
                              (anvillm-9p--finish op nil (if (anvillm-9p--op-doubt op)
                                                             '(anvillm-9p-lost
                                                               "it may have been accepted")
                                                           fields)))
                       ('Rerror (anvillm-9p--finish op nil (list 'anvillm-9p-error (car fields))))
                       ;; A walk that was taken back too late did make a fid.
                       (_ (when (or (eq type 'Twalk) (not (anvillm-9p--op-done op)))
                            (funcall k fields)))))
                   type fields)))))

(defun anvillm-9p--walk (op path k)
  "Walk a new fid of OP to PATH and call K."
  (let ((conn (anvillm-9p--op-conn op)) (names (split-string path "/" t)))
    (setf (anvillm-9p--op-fid op)
          (or (pop (anvillm-conn-free-fids conn)) (cl-incf (anvillm-conn-next-fid conn))))
    (anvillm-9p--walk-on op 0 names path k)))

(defun anvillm-9p--walk-on (op from names path k)
  "Walk OP's fid from the fid FROM along NAMES, the rest of PATH, then call K."
  (let ((some (cl-subseq names 0 (min 16 (length names)))) (rest (nthcdr 16 names))
        (fid (anvillm-9p--op-fid op)))
    (anvillm-9p--step
     op (lambda (fields)
          (cond ((< (length (car fields)) (length some))
                 (anvillm-9p--finish op nil (list 'anvillm-9p-error (format "no file '%s'" path))))
                (t (setf (anvillm-9p--op-walked op) t)
                   (cond ((anvillm-9p--op-done op))
                         (rest (anvillm-9p--walk-on op fid rest path k))
                         (t (funcall k))))))
     'Twalk from fid some)))

(defun anvillm-9p--open (op path mode k)
  "Open PATH in MODE for OP and call K."
  (anvillm-9p--walk op path
                    (lambda ()
                      (anvillm-9p--step op (lambda (_) (funcall k)) 'Topen (anvillm-9p--op-fid op)
                                        mode))))

(defun anvillm-9p--read-on (op offset chunks)
  "Read the rest of OP's file from OFFSET, with CHUNKS read before, and finish."
  (anvillm-9p--step
   op (lambda (fields)
        (let ((data (car fields)))
          (if (string-empty-p data)
              (anvillm-9p--finish op (apply #'concat (nreverse chunks)))
            (anvillm-9p--read-on op (+ offset (length data)) (cons data chunks)))))
   'Tread (anvillm-9p--op-fid op) offset (- (anvillm-conn-msize (anvillm-9p--op-conn op)) 24)))

(defun anvillm-9p--write-on (op data offset k)
  "Write DATA from OFFSET on to OP's file, then call K."
  (let* ((most (min anvillm-9p-chunk (- (anvillm-conn-msize (anvillm-9p--op-conn op)) 24)))
         (end (min (length data) (+ offset most))))
    (anvillm-9p--step
     op (lambda (fields)
          (let ((next (+ offset (car fields))))
            (cond ((>= next (length data)) (funcall k))
                  ((= (car fields) 0)
                   (anvillm-9p--finish op nil (list 'anvillm-9p-error "nothing was written")))
                  (t (anvillm-9p--write-on op data next k)))))
     'Twrite (anvillm-9p--op-fid op) offset (substring data offset end))))

(defun anvillm-9p--bytes (data)
  "Return DATA as bytes, encoded in UTF-8 if it is text."
  (if (multibyte-string-p data) (encode-coding-string data 'utf-8 t) data))

(defun anvillm-9p-read (conn path callback)
  "Read the whole file PATH on CONN; CALLBACK gets its bytes."
  (anvillm-9p--begin
   conn callback
   (lambda (op)
     (anvillm-9p--open op path anvillm-wire-oread (lambda () (anvillm-9p--read-on op 0 nil))))))

(defun anvillm-9p-write (conn path data callback)
  "Write DATA to the file PATH on CONN; CALLBACK gets t once it is accepted.
That is after the Rclunk, so what a server refuses at the end is seen too."
  (let ((data (anvillm-9p--bytes data)))
    (anvillm-9p--begin
     conn callback
     (lambda (op)
       (anvillm-9p--open
        op path (logior anvillm-wire-owrite anvillm-wire-otrunc)
        (lambda () (anvillm-9p--write-whole op data)))))))

(defun anvillm-9p--write-whole (op data)
  "Write DATA to OP's file, and finish with its clunk."
  (anvillm-9p--write-on
   op data 0
   (lambda ()
     (let ((fid (cl-shiftf (anvillm-9p--op-fid op) nil)))
       (setf (anvillm-9p--op-doubt op) t)
       (anvillm-9p--step op (lambda (_)
                              (push fid (anvillm-conn-free-fids (anvillm-9p--op-conn op)))
                              (anvillm-9p--finish op t))
                         'Tclunk fid)))))

(defun anvillm-9p-create (conn path data callback)
  "Make the file PATH on CONN with DATA; CALLBACK gets t when it is there.
A file of that name that is there is an error."
  (let ((data (anvillm-9p--bytes data)))
    (anvillm-9p--begin
     conn callback
     (lambda (op)
       (anvillm-9p--walk
        op (file-name-directory path)
        (lambda ()
          (anvillm-9p--step op (lambda (_) (anvillm-9p--write-whole op data))
                            'Tcreate (anvillm-9p--op-fid op) (file-name-nondirectory path) #o600
                            anvillm-wire-owrite)))))))

(defun anvillm-9p-write-read (conn path data callback)
  "Write DATA to PATH on CONN, then read the same fid from 0 for CALLBACK."
  (let ((data (anvillm-9p--bytes data)))
    (anvillm-9p--begin
     conn callback
     (lambda (op)
       (anvillm-9p--open op path anvillm-wire-ordwr
                         (lambda ()
                           (anvillm-9p--write-on op data 0
                                                 (lambda () (anvillm-9p--read-on op 0 nil)))))))))

(defun anvillm-9p-stream (conn path on-data on-end &optional offset on-open)
  "Follow the blocking file PATH on CONN from OFFSET.
ON-DATA gets bytes as they come; the next are asked for when it returns.  ON-END
gets nil at the end of the file, or the condition that ended the stream.
ON-OPEN is called once the file is open, before anything is read."
  (let (go)
    (setq go
          (lambda (op offset)
            (unless (anvillm-9p--op-done op)
              (anvillm-9p--step
               op (lambda (fields)
                    (if (string-empty-p (car fields))
                        (anvillm-9p--finish op nil)
                      (anvillm-work
                       (lambda (data)
                         (unless (anvillm-9p--op-done op)
                           (unwind-protect (funcall on-data data)
                             (funcall go op (+ offset (length data))))))
                       (car fields))))
               'Tread (anvillm-9p--op-fid op) offset
               (min anvillm-9p-bite (- (anvillm-conn-msize (anvillm-9p--op-conn op)) 24))))))
    (anvillm-9p--begin
     conn (lambda (_ err) (funcall on-end err))
     (lambda (op)
       (anvillm-9p--open op path anvillm-wire-oread
                         (lambda ()
                           (when on-open (funcall on-open))
                           (funcall go op (or offset 0))))))))

(defun anvillm-9p-flushed (&rest _)
  "Stand in for the reply to a request that was taken back.")

(defun anvillm-9p-op-done-p (op)
  "Return non-nil if OP is over."
  (anvillm-9p--op-done op))

(defun anvillm-9p-cancel (op)
  "Take OP back; its callback is not called any more."
  (when (and op (not (anvillm-9p--op-done op)))
    (let* ((conn (anvillm-9p--op-conn op)) (tag (anvillm-9p--op-tag op))
           (pending (and tag (gethash tag (anvillm-conn-tags conn)))))
      (setf (anvillm-9p--op-done op) t (anvillm-9p--op-callback op) nil)
      (cond ((null pending) (anvillm-9p--clunk op))
            ((assq tag (anvillm-conn-outgoing conn)) ; never sent
             (setf (anvillm-conn-outgoing conn) (assq-delete-all tag (anvillm-conn-outgoing conn)))
             (anvillm-9p--forget conn tag)
             (anvillm-9p--clunk op))
            (t (anvillm-9p--flush op conn tag pending))))))

(defun anvillm-9p--forget (conn tag)
  "Free TAG of CONN, to which no reply can come any more."
  (remhash tag (anvillm-conn-tags conn))
  (push tag (anvillm-conn-free-tags conn)))

(defun anvillm-9p--flush (op conn tag pending)
  "Send Tflush for TAG of OP on CONN, whose entry is PENDING.
The tag and the fid are free only when Rflush came; a reply to the request
itself may come before, and then it counts."
  (let ((answer (car pending)))
    (setcar pending (lambda (reply fields)
                      ;; The number stays taken until Rflush.
                      (setf (anvillm-conn-free-tags conn) (delq tag (anvillm-conn-free-tags conn)))
                      (puthash tag (cons #'anvillm-9p-flushed nil) (anvillm-conn-tags conn))
                      (unless (eq reply 'lost) (funcall answer reply fields))))
    (anvillm-9p-send conn (lambda (&rest _)
                             (anvillm-9p--forget conn tag)
                             (anvillm-9p--clunk op))
                      'Tflush tag)))

;;;; Waiting

(defun anvillm-9p-sync (timeout function &rest args)
  "Call FUNCTION with ARGS and a callback, wait for the result and return it.
Signal the operation's error, or `anvillm-9p-timeout' after TIMEOUT seconds.
On a timeout and on \\[keyboard-quit] the operation is taken back."
  (let* ((answer nil)
         (anvillm-9p--inline t)
         (op (apply function
                    (append args (list (lambda (result err) (setq answer (list result err)))))))
         (anvillm-9p--inline nil)
         (end (+ (float-time) timeout)))
    (unwind-protect
        (while (and (not answer) (< (float-time) end))
          ;; A timer that was set by a timer meanwhile is not seen before this returns.
          (accept-process-output (anvillm-conn-process (anvillm-9p--op-conn op))
                                 (max 0.001 (min 0.1 (- end (float-time))))))
      (unless answer (anvillm-9p-cancel op)))
    (pcase answer
      ('nil (signal 'anvillm-9p-timeout (list (format "%g s" timeout))))
      (`(,result nil) result)
      (`(,_ (,condition . ,data)) (signal condition data)))))

(provide 'anvillm-9p)
;;; anvillm-9p.el ends here
