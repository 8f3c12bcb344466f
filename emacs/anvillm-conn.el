;;; anvillm-conn.el --- A connection of the 9P client of AnviLLM  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A connection to a unix socket, over which messages of 9P2000 go: those that go
;; out wait for room, those that come in find what waits for them.
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
(defconst anvillm-9p-chunk 32768 "Largest piece written at once, in bytes.")
(defconst anvillm-9p-bite 16384
  "Most that is read of a stream at once, in bytes.
A callback is done with so much in a few milliseconds.")
(defconst anvillm-9p--window 98304
  "Bytes sent that the server may not have taken yet.
A unix socket holds 208 KiB by default, with what the kernel adds.")
(defconst anvillm-9p--cost 1024 "What the kernel charges for one message, in bytes, rounded up.")

(cl-defstruct (anvillm-9p (:constructor anvillm-conn--make) (:copier nil)
                           (:conc-name anvillm-conn-))
  process on-ready on-close ready
  (msize anvillm-9p--msize) (tags (make-hash-table)) (next-tag 0) free-tags (next-fid 1) free-fids
  (input nil) (have 0) (need 4) busy       ; frames on their way in
  (sent 0) (acked 0) outgoing probing      ; frames on their way out
  blocked)                                 ; operations begun before the handshake ended

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
  (let* ((conn (anvillm-conn--make :on-ready on-ready :on-close on-close))
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
    (setf (anvillm-conn-process conn)
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
  (anvillm-9p-send
   conn
   (lambda (type fields)
     (if (not (and (eq type 'Rversion) (equal (nth 1 fields) "9P2000") (>= (nth 0 fields) 256)))
         (anvillm-9p--lost conn '(anvillm-9p-lost "the peer does not speak 9P2000"))
       (setf (anvillm-conn-msize conn) (min anvillm-9p--msize (nth 0 fields)))
       (anvillm-9p-send
        conn
        (lambda (type fields)
          (if (eq type 'Rerror)
              (anvillm-9p--lost conn (list 'anvillm-9p-lost (car fields)))
            (setf (anvillm-conn-ready conn) t)
            (mapc #'funcall (nreverse (cl-shiftf (anvillm-conn-blocked conn) nil)))
            (when (anvillm-conn-on-ready conn)
              (anvillm-work (anvillm-conn-on-ready conn) conn))))
        'Tattach 0 anvillm-wire-nofid (user-login-name) "")))
   'Tversion anvillm-9p--msize "9P2000"))

(defun anvillm-9p-live-p (conn)
  "Return non-nil while CONN can be used."
  (and conn (process-live-p (anvillm-conn-process conn))))

(defun anvillm-9p-close (conn)
  "End CONN; operations under way end with an error, ON-CLOSE is not called."
  (setf (anvillm-conn-on-close conn) nil)
  (anvillm-9p--lost conn '(anvillm-9p-lost "closed")))

(defun anvillm-9p--lost (conn condition)
  "CONN has ended because of CONDITION: everything under way fails with it."
  (let ((process (anvillm-conn-process conn)) (pending nil))
    (setf (anvillm-conn-ready conn) nil
          (anvillm-conn-outgoing conn) nil)
    (when (process-live-p process)
      (set-process-sentinel process #'ignore)
      (delete-process process))
    (maphash (lambda (_ p) (push (car p) pending)) (anvillm-conn-tags conn))
    (clrhash (anvillm-conn-tags conn))
    (dolist (k pending) (funcall k 'lost condition))
    (mapc #'funcall (nreverse (cl-shiftf (anvillm-conn-blocked conn) nil)))
    (when (anvillm-conn-on-close conn)
      (anvillm-work (cl-shiftf (anvillm-conn-on-close conn) nil) conn condition))))

;;;; Frames out

(defun anvillm-9p-send (conn k type &rest fields)
  "Send a message TYPE with FIELDS on CONN and return its tag.
K is called in the filter with the type and fields of the reply, or with
`lost' and a condition."
  (let* ((tag (cond ((eq type 'Tversion) anvillm-wire-notag)
                    ((pop (anvillm-conn-free-tags conn)))
                    (t (cl-incf (anvillm-conn-next-tag conn)))))
         (frame (apply #'anvillm-wire-encode type tag fields)))
    (puthash tag (cons k nil) (anvillm-conn-tags conn))
    (setf (anvillm-conn-outgoing conn)
          (nconc (anvillm-conn-outgoing conn) (list (cons tag frame))))
    (anvillm-9p--pump conn)
    tag))

(defun anvillm-9p--unacked (conn)
  "Return how much sent on CONN the server may not have taken yet, in bytes."
  (- (anvillm-conn-sent conn) (anvillm-conn-acked conn)))

(defun anvillm-9p--pump (conn)
  "Send what waits on CONN, as far as there is room in the window."
  (let (next)
    (while (and (setq next (car (anvillm-conn-outgoing conn)))
                (or (<= (anvillm-9p--unacked conn) 0)
                    (<= (+ (anvillm-9p--unacked conn) (length (cdr next)) anvillm-9p--cost)
                        anvillm-9p--window)))
      (pop (anvillm-conn-outgoing conn))
      (anvillm-9p--put conn (car next) (cdr next))))
  (when (and (anvillm-conn-ready conn) (not (anvillm-conn-probing conn))
             (> (anvillm-9p--unacked conn) (/ anvillm-9p--window 2)))
    (anvillm-9p--probe conn)))

(defun anvillm-9p--probe (conn)
  "Ask CONN for a reply, to learn what the server has taken."
  (let ((tag (or (pop (anvillm-conn-free-tags conn)) (cl-incf (anvillm-conn-next-tag conn)))))
    (setf (anvillm-conn-probing conn) t)
    (puthash tag (cons (lambda (&rest _) (setf (anvillm-conn-probing conn) nil)) nil)
             (anvillm-conn-tags conn))
    (anvillm-9p--put conn tag (anvillm-wire-encode 'Tflush tag (1- anvillm-wire-notag)))))

(defun anvillm-9p--put (conn tag frame)
  "Send FRAME, whose tag is TAG, on CONN."
  (cl-incf (anvillm-conn-sent conn) (+ (length frame) anvillm-9p--cost))
  (let ((pending (gethash tag (anvillm-conn-tags conn))))
    (when pending (setcdr pending (anvillm-conn-sent conn))))
  (when anvillm-9p-trace-function
    (anvillm-work anvillm-9p-trace-function "->" (anvillm-wire-decode frame)))
  (condition-case err
      (process-send-string (anvillm-conn-process conn) frame)
    (error (anvillm-9p--lost conn (list 'anvillm-9p-lost (error-message-string err))))))

;;;; Frames in

(defun anvillm-9p--filter (conn bytes)
  "Take BYTES that came on CONN and act on every whole frame."
  (push bytes (anvillm-conn-input conn))
  (cl-incf (anvillm-conn-have conn) (length bytes))
  ;; Sending can run this again; the outer call goes on with what came.
  (unless (anvillm-conn-busy conn)
    (setf (anvillm-conn-busy conn) t)
    (unwind-protect
        (while (>= (anvillm-conn-have conn) (anvillm-conn-need conn))
          (anvillm-9p--frames conn))
      (setf (anvillm-conn-busy conn) nil))))

(defun anvillm-9p--frames (conn)
  "Act on the whole frames in CONN's input and keep the rest."
  (let* ((bytes (apply #'concat (nreverse (cl-shiftf (anvillm-conn-input conn) nil))))
         (end (length bytes)) (at 0) (size 4))
    (setf (anvillm-conn-have conn) 0)
    (while (and (>= (- end at) 4)
                (<= (setq size (anvillm-wire-int-at bytes at 4)) (- end at))
                (>= size 7))
      (let ((start at))
        (setq at (+ at size))
        (anvillm-9p--frame conn bytes start)))
    (cond ((and (>= (- end at) 4) (or (< size 7) (> size anvillm-9p--msize)))
           (setf (anvillm-conn-need conn) 4)
           (anvillm-9p--lost conn '(anvillm-9p-lost "malformed message")))
          (t
           (setf (anvillm-conn-need conn) (if (>= (- end at) 4) size 4)
                 ;; What came in meanwhile is behind what is left of this.
                 (anvillm-conn-input conn)
                 (nconc (anvillm-conn-input conn) (list (substring bytes at))))
           (cl-incf (anvillm-conn-have conn) (- end at))))))

(defun anvillm-9p--frame (conn bytes start)
  "Act on the frame of CONN in BYTES at START."
  (condition-case err
      (let* ((message (anvillm-wire-decode bytes start)) (tag (nth 1 message))
             (pending (gethash tag (anvillm-conn-tags conn))))
        (when anvillm-9p-trace-function
          (anvillm-work anvillm-9p-trace-function "<-" message))
        (when pending
          (remhash tag (anvillm-conn-tags conn))
          (unless (or (= tag anvillm-wire-notag) (eq (car pending) #'anvillm-9p-flushed))
            (push tag (anvillm-conn-free-tags conn)))
          (setf (anvillm-conn-acked conn) (max (anvillm-conn-acked conn) (or (cdr pending) 0)))
          (funcall (car pending) (car message) (cddr message))
          (anvillm-9p--pump conn)))
    (error (anvillm-9p--lost conn (list 'anvillm-9p-lost (error-message-string err))))))

(provide 'anvillm-conn)
;;; anvillm-conn.el ends here
