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
;;
;; Nothing a server does or fails to do can hold Emacs up:
;; - The filter only moves bytes and sends the next message of an operation.
;;   Callbacks run from a timer, in order, a few milliseconds at a time
;;   (anvillm-work.el).
;; - `process-send-string' waits when the socket is full.  So what the server
;;   has not yet taken from the socket is bounded (`anvillm-9p--window'); the
;;   rest stays here.  A reply proves that everything before its request was
;;   taken; when none is due, a Tflush of an unused tag asks for one.
;; - connect(2) waits when too many clients stand before a server that takes
;;   none.  So it is asked not to: such a server is one that nobody reaches.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'anvillm-wire)
(require 'anvillm-work)

(define-error 'anvillm-9p-lost "Connection lost" 'anvillm-error)
(define-error 'anvillm-9p-timeout "No answer in time" 'anvillm-error)

(defconst anvillm-9p--msize 65536 "Largest message, in bytes.")
(defconst anvillm-9p--chunk 32768 "Largest piece written at once, in bytes.")
(defconst anvillm-9p--bite 16384
  "Most that is read of a stream at once, in bytes.
A callback is done with so much in a few milliseconds.")
(defconst anvillm-9p--window 98304
  "Bytes sent that the server may not have taken yet.
A unix socket holds 208 KiB by default, with what the kernel adds.")
(defconst anvillm-9p--cost 1024 "What the kernel charges for one message, in bytes, rounded up.")

(cl-defstruct (anvillm-9p (:constructor anvillm-9p--make) (:copier nil) (:conc-name anvillm-9p--))
  process on-ready on-close ready
  (msize anvillm-9p--msize) (tags (make-hash-table)) (next-tag 0) free-tags (next-fid 1) free-fids
  (input nil) (have 0) (need 4) busy       ; frames on their way in
  (sent 0) (acked 0) outgoing probing      ; frames on their way out
  blocked)                                 ; operations begun before the handshake ended

(cl-defstruct (anvillm-9p-op (:constructor anvillm-9p--make-op) (:copier nil)
                             (:conc-name anvillm-9p--op-))
  "One operation: a whole read, a whole write, a stream."
  conn fid walked tag callback inline doubt done)

(defvar anvillm-9p-trace-function nil
  "If not nil, called with \"->\" or \"<-\" and each message.")

;;;; Connection

(defun anvillm-9p--short-path (path function)
  "Call FUNCTION with a name of PATH that fits a socket address."
  (if (< (string-bytes path) 108)
      (funcall function path)
    (let* ((dir (make-temp-file "anvillm" t)) (link (expand-file-name "d" dir)))
      (unwind-protect
          (progn
            (make-symbolic-link (file-name-directory path) link)
            (funcall function (concat link "/" (file-name-nondirectory path))))
        (delete-directory dir t)))))

(defun anvillm-9p--own (path)
  "Return PATH, a socket's, if nobody but this user can have put it there.
A namespace lies in /tmp, where anybody may have made it first.  Of its
attributes those of a link are looked at as well as those of the directory."
  (let ((directory (directory-file-name (file-name-directory path))))
    (dolist (name (list directory (file-name-as-directory directory) path))
      (let ((attributes (file-attributes name 'integer)))
        (when (and attributes (/= (user-uid) (file-attribute-user-id attributes)))
          (signal 'anvillm-9p-lost
                  (list (abbreviate-file-name name) "it belongs to another user")))))
    (let ((modes (file-modes directory)))
      (when (and modes (/= 0 (logand #o022 modes)))
        (signal 'anvillm-9p-lost (list (abbreviate-file-name directory) "others may write to it"))))
    path))

(defun anvillm-9p-connect (path &optional on-ready on-close)
  "Connect to the unix socket PATH and return the connection.
Operations can be started at once.  ON-READY is called with the connection
when the handshake is done, ON-CLOSE with the connection and a condition when it
ends, except by `anvillm-9p-close'.
Signal `anvillm-9p-lost' if nobody listens, or another user may."
  (let* ((conn (anvillm-9p--make :on-ready on-ready :on-close on-close))
         (path (anvillm-9p--own (expand-file-name path)))
         (process (anvillm-9p--short-path path (lambda (name) (anvillm-9p--dial conn name)))))
    (unless (process-live-p process)
      (delete-process process)
      (signal 'anvillm-9p-lost (list (abbreviate-file-name path)
                                     (if (file-exists-p path) "nobody answers there"
                                       "no such socket"))))
    conn))

(defun anvillm-9p--dial (conn name)
  "Return a process connected to the unix socket NAME for CONN.
It lives if the socket takes it.  With `:nowait' a refusal is seen at once too,
in the state of the process: a unix socket says yes or no without delay."
  (let ((process-adaptive-read-buffering nil))
    (setf (anvillm-9p--process conn)
          (make-network-process
           :name "anvillm" :family 'local :service name :coding 'binary :noquery t :nowait t
           :filter (lambda (_ bytes) (anvillm-9p--filter conn bytes))
           :sentinel (lambda (process event)
                       (cond ((string-prefix-p "open" event) (anvillm-9p--handshake conn))
                             ((not (process-live-p process))
                              (anvillm-9p--lost conn
                                                '(anvillm-9p-lost "the daemon closed it")))))))))

(defun anvillm-9p--handshake (conn)
  "Agree on version and message size, and attach, on CONN."
  (anvillm-9p--send
   conn
   (lambda (type fields)
     (if (not (and (eq type 'Rversion) (equal (nth 1 fields) "9P2000") (>= (nth 0 fields) 256)))
         (anvillm-9p--lost conn '(anvillm-9p-lost "the peer does not speak 9P2000"))
       (setf (anvillm-9p--msize conn) (min anvillm-9p--msize (nth 0 fields)))
       (anvillm-9p--send
        conn
        (lambda (type fields)
          (if (eq type 'Rerror)
              (anvillm-9p--lost conn (list 'anvillm-9p-lost (car fields)))
            (setf (anvillm-9p--ready conn) t)
            (mapc #'funcall (nreverse (cl-shiftf (anvillm-9p--blocked conn) nil)))
            (when (anvillm-9p--on-ready conn)
              (anvillm-work (anvillm-9p--on-ready conn) conn))))
        'Tattach 0 anvillm-wire-nofid (user-login-name) "")))
   'Tversion anvillm-9p--msize "9P2000"))

(defun anvillm-9p-live-p (conn)
  "Return non-nil while CONN can be used."
  (and conn (process-live-p (anvillm-9p--process conn))))

(defun anvillm-9p-close (conn)
  "End CONN; operations under way end with an error, ON-CLOSE is not called."
  (setf (anvillm-9p--on-close conn) nil)
  (anvillm-9p--lost conn '(anvillm-9p-lost "closed")))

(defun anvillm-9p--lost (conn condition)
  "CONN has ended because of CONDITION: everything under way fails with it."
  (let ((process (anvillm-9p--process conn)) (pending nil))
    (setf (anvillm-9p--ready conn) nil
          (anvillm-9p--outgoing conn) nil)
    (when (process-live-p process)
      (set-process-sentinel process #'ignore)
      (delete-process process))
    (maphash (lambda (_ p) (push (car p) pending)) (anvillm-9p--tags conn))
    (clrhash (anvillm-9p--tags conn))
    (dolist (k pending) (funcall k 'lost condition))
    (mapc #'funcall (nreverse (cl-shiftf (anvillm-9p--blocked conn) nil)))
    (when (anvillm-9p--on-close conn)
      (anvillm-work (cl-shiftf (anvillm-9p--on-close conn) nil) conn condition))))

;;;; Frames out

(defun anvillm-9p--send (conn k type &rest fields)
  "Send a message TYPE with FIELDS on CONN and return its tag.
K is called in the filter with the type and fields of the reply, or with
`lost' and a condition."
  (let* ((tag (cond ((eq type 'Tversion) anvillm-wire-notag)
                    ((pop (anvillm-9p--free-tags conn)))
                    (t (cl-incf (anvillm-9p--next-tag conn)))))
         (frame (apply #'anvillm-wire-encode type tag fields)))
    (puthash tag (cons k nil) (anvillm-9p--tags conn))
    (setf (anvillm-9p--outgoing conn)
          (nconc (anvillm-9p--outgoing conn) (list (cons tag frame))))
    (anvillm-9p--pump conn)
    tag))

(defun anvillm-9p--unacked (conn)
  "Return how much sent on CONN the server may not have taken yet, in bytes."
  (- (anvillm-9p--sent conn) (anvillm-9p--acked conn)))

(defun anvillm-9p--pump (conn)
  "Send what waits on CONN, as far as there is room in the window."
  (let (next)
    (while (and (setq next (car (anvillm-9p--outgoing conn)))
                (or (<= (anvillm-9p--unacked conn) 0)
                    (<= (+ (anvillm-9p--unacked conn) (length (cdr next)) anvillm-9p--cost)
                        anvillm-9p--window)))
      (pop (anvillm-9p--outgoing conn))
      (anvillm-9p--put conn (car next) (cdr next))))
  (when (and (anvillm-9p--ready conn) (not (anvillm-9p--probing conn))
             (> (anvillm-9p--unacked conn) (/ anvillm-9p--window 2)))
    (anvillm-9p--probe conn)))

(defun anvillm-9p--probe (conn)
  "Ask CONN for a reply, to learn what the server has taken."
  (let ((tag (or (pop (anvillm-9p--free-tags conn)) (cl-incf (anvillm-9p--next-tag conn)))))
    (setf (anvillm-9p--probing conn) t)
    (puthash tag (cons (lambda (&rest _) (setf (anvillm-9p--probing conn) nil)) nil)
             (anvillm-9p--tags conn))
    (anvillm-9p--put conn tag (anvillm-wire-encode 'Tflush tag (1- anvillm-wire-notag)))))

(defun anvillm-9p--put (conn tag frame)
  "Send FRAME, whose tag is TAG, on CONN."
  (cl-incf (anvillm-9p--sent conn) (+ (length frame) anvillm-9p--cost))
  (let ((pending (gethash tag (anvillm-9p--tags conn))))
    (when pending (setcdr pending (anvillm-9p--sent conn))))
  (when anvillm-9p-trace-function
    (anvillm-work anvillm-9p-trace-function "->" (anvillm-wire-decode frame)))
  (condition-case err
      (process-send-string (anvillm-9p--process conn) frame)
    (error (anvillm-9p--lost conn (list 'anvillm-9p-lost (error-message-string err))))))

;;;; Frames in

(defun anvillm-9p--filter (conn bytes)
  "Take BYTES that came on CONN and act on every whole frame."
  (push bytes (anvillm-9p--input conn))
  (cl-incf (anvillm-9p--have conn) (length bytes))
  ;; Sending can run this again; the outer call goes on with what came.
  (unless (anvillm-9p--busy conn)
    (setf (anvillm-9p--busy conn) t)
    (unwind-protect
        (while (>= (anvillm-9p--have conn) (anvillm-9p--need conn))
          (anvillm-9p--frames conn))
      (setf (anvillm-9p--busy conn) nil))))

(defun anvillm-9p--frames (conn)
  "Act on the whole frames in CONN's input and keep the rest."
  (let* ((bytes (apply #'concat (nreverse (cl-shiftf (anvillm-9p--input conn) nil))))
         (end (length bytes)) (at 0) (size 4))
    (setf (anvillm-9p--have conn) 0)
    (while (and (>= (- end at) 4)
                (<= (setq size (anvillm-wire-int-at bytes at 4)) (- end at))
                (>= size 7))
      (let ((start at))
        (setq at (+ at size))
        (anvillm-9p--frame conn bytes start)))
    (cond ((and (>= (- end at) 4) (or (< size 7) (> size anvillm-9p--msize)))
           (setf (anvillm-9p--need conn) 4)
           (anvillm-9p--lost conn '(anvillm-9p-lost "malformed message")))
          (t
           (setf (anvillm-9p--need conn) (if (>= (- end at) 4) size 4)
                 ;; What came in meanwhile is behind what is left of this.
                 (anvillm-9p--input conn)
                 (nconc (anvillm-9p--input conn) (list (substring bytes at))))
           (cl-incf (anvillm-9p--have conn) (- end at))))))

(defun anvillm-9p--frame (conn bytes start)
  "Act on the frame of CONN in BYTES at START."
  (condition-case err
      (let* ((message (anvillm-wire-decode bytes start)) (tag (nth 1 message))
             (pending (gethash tag (anvillm-9p--tags conn))))
        (when anvillm-9p-trace-function
          (anvillm-work anvillm-9p-trace-function "<-" message))
        (when pending
          (remhash tag (anvillm-9p--tags conn))
          (unless (or (= tag anvillm-wire-notag) (eq (car pending) #'anvillm-9p--flushed))
            (push tag (anvillm-9p--free-tags conn)))
          (setf (anvillm-9p--acked conn) (max (anvillm-9p--acked conn) (or (cdr pending) 0)))
          (funcall (car pending) (car message) (cddr message))
          (anvillm-9p--pump conn)))
    (error (anvillm-9p--lost conn (list 'anvillm-9p-lost (error-message-string err))))))

;;;; Operations

(defvar anvillm-9p--inline nil
  "Non-nil while an operation is started whose callback may run in the filter.")

(defun anvillm-9p--begin (conn callback start)
  "Return a new operation on CONN with CALLBACK, begun by START with it."
  (let ((op (anvillm-9p--make-op :conn conn :callback callback :inline anvillm-9p--inline)))
    (cond ((anvillm-9p--ready conn) (funcall start op))
          ((anvillm-9p-live-p conn)
           (push (lambda () (unless (anvillm-9p--op-done op) (funcall start op)))
                 (anvillm-9p--blocked conn)))
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
      (if (not (and (anvillm-9p--op-walked op) (anvillm-9p--ready conn)))
          (push fid (anvillm-9p--free-fids conn))
        (anvillm-9p--send conn (lambda (&rest _) (push fid (anvillm-9p--free-fids conn)))
                          'Tclunk fid)))))

(defun anvillm-9p--step (op k type &rest fields)
  "Send TYPE with FIELDS for OP and call K with the fields of the reply."
  (let ((conn (anvillm-9p--op-conn op)))
    (if (not (anvillm-9p--ready conn))
        (anvillm-9p--finish op nil '(anvillm-9p-lost "not connected"))
      (setf (anvillm-9p--op-tag op)
            (apply #'anvillm-9p--send conn
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
          (or (pop (anvillm-9p--free-fids conn)) (cl-incf (anvillm-9p--next-fid conn))))
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
   'Tread (anvillm-9p--op-fid op) offset (- (anvillm-9p--msize (anvillm-9p--op-conn op)) 24)))

(defun anvillm-9p--write-on (op data offset k)
  "Write DATA from OFFSET on to OP's file, then call K."
  (let* ((most (min anvillm-9p--chunk (- (anvillm-9p--msize (anvillm-9p--op-conn op)) 24)))
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
                              (push fid (anvillm-9p--free-fids (anvillm-9p--op-conn op)))
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
               (min anvillm-9p--bite (- (anvillm-9p--msize (anvillm-9p--op-conn op)) 24))))))
    (anvillm-9p--begin
     conn (lambda (_ err) (funcall on-end err))
     (lambda (op)
       (anvillm-9p--open op path anvillm-wire-oread
                         (lambda ()
                           (when on-open (funcall on-open))
                           (funcall go op (or offset 0))))))))

(defun anvillm-9p--flushed (&rest _)
  "Stand in for the reply to a request that was taken back.")

(defun anvillm-9p-op-done-p (op)
  "Return non-nil if OP is over."
  (anvillm-9p--op-done op))

(defun anvillm-9p-cancel (op)
  "Take OP back; its callback is not called any more."
  (when (and op (not (anvillm-9p--op-done op)))
    (let* ((conn (anvillm-9p--op-conn op)) (tag (anvillm-9p--op-tag op))
           (pending (and tag (gethash tag (anvillm-9p--tags conn)))))
      (setf (anvillm-9p--op-done op) t (anvillm-9p--op-callback op) nil)
      (cond ((null pending) (anvillm-9p--clunk op))
            ((assq tag (anvillm-9p--outgoing conn)) ; never sent
             (setf (anvillm-9p--outgoing conn) (assq-delete-all tag (anvillm-9p--outgoing conn)))
             (anvillm-9p--forget conn tag)
             (anvillm-9p--clunk op))
            (t (anvillm-9p--flush op conn tag pending))))))

(defun anvillm-9p--forget (conn tag)
  "Free TAG of CONN, to which no reply can come any more."
  (remhash tag (anvillm-9p--tags conn))
  (push tag (anvillm-9p--free-tags conn)))

(defun anvillm-9p--flush (op conn tag pending)
  "Send Tflush for TAG of OP on CONN, whose entry is PENDING.
The tag and the fid are free only when Rflush came; a reply to the request
itself may come before, and then it counts."
  (let ((answer (car pending)))
    (setcar pending (lambda (reply fields)
                      ;; The number stays taken until Rflush.
                      (setf (anvillm-9p--free-tags conn) (delq tag (anvillm-9p--free-tags conn)))
                      (puthash tag (cons #'anvillm-9p--flushed nil) (anvillm-9p--tags conn))
                      (unless (eq reply 'lost) (funcall answer reply fields))))
    (anvillm-9p--send conn (lambda (&rest _)
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
          (accept-process-output (anvillm-9p--process (anvillm-9p--op-conn op))
                                 (max 0.001 (- end (float-time)))))
      (unless answer (anvillm-9p-cancel op)))
    (pcase answer
      ('nil (signal 'anvillm-9p-timeout (list (format "%g s" timeout))))
      (`(,result nil) result)
      (`(,_ (,condition . ,data)) (signal condition data)))))

(provide 'anvillm-9p)
;;; anvillm-9p.el ends here
