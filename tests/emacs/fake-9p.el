;;; fake-9p.el --- A 9P server inside Emacs, made to misbehave  -*- lexical-binding: t; -*-

;;; Commentary:

;; One connection at a time.  Files are an alist of (PATH . BYTES); FILTER may
;; change what goes out: it gets each reply and returns the list of frames to
;; send, each a unibyte string, or nil to hold the reply back.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'anvillm-wire)

(cl-defstruct fake path process client files (fids (make-hash-table)) requests (input "") outgoing held written)

(defvar fake-files nil "What the next fake server serves.")

(defun fake-frame (reply)
  "Return the frame of REPLY."
  (apply #'anvillm-wire-encode reply))

(defun fake-start (files &optional outgoing)
  "Serve FILES; OUTGOING maps a reply to the frames that are sent for it."
  (let* ((path (expand-file-name "s" (make-temp-file "a9" t)))
         (fake (make-fake :path path :files files
                          :outgoing (or outgoing (lambda (_ reply) (list (fake-frame reply)))))))
    (setf (fake-process fake)
          (make-network-process
           :name "fake" :server t :family 'local :service path :coding 'binary :noquery t
           :filter (lambda (client bytes)
                     (setf (fake-client fake) client)
                     (fake--input fake bytes))))
    fake))

(defun fake-stop (fake)
  "End FAKE."
  (when (fake-client fake) (delete-process (fake-client fake)))
  (delete-process (fake-process fake))
  (delete-directory (file-name-directory (fake-path fake)) t))

(defun fake-hang-up (fake)
  "Close FAKE's connection."
  (delete-process (fake-client fake)))

(defun fake-send (fake &rest frames)
  "Send FRAMES to FAKE's client."
  (dolist (frame frames)
    (when (process-live-p (fake-client fake))
      (process-send-string (fake-client fake) frame))))

(defun fake--input (fake bytes)
  "Answer what is whole in BYTES and before in FAKE."
  (setf (fake-input fake) (concat (fake-input fake) bytes))
  (let (size)
    (while (and (>= (length (fake-input fake)) 4)
                (<= (setq size (anvillm-wire-int-at (fake-input fake) 0 4)) (length (fake-input fake))))
      (let ((request (anvillm-wire-decode (fake-input fake))))
        (setf (fake-input fake) (substring (fake-input fake) size))
        (push request (fake-requests fake))
        (let ((reply (fake--answer fake request)))
          (when reply (apply #'fake-send fake (funcall (fake-outgoing fake) fake reply))))))))

(defun fake--answer (fake request)
  "Return FAKE's reply to REQUEST."
  (pcase request
    (`(Tversion ,tag ,msize ,version) (list 'Rversion tag (min 8192 msize) version))
    (`(Tattach ,tag . ,_) (puthash 0 "" (fake-fids fake)) (list 'Rattach tag '(128 0 0)))
    (`(Twalk ,tag ,_ ,new ,names)
     (let ((path (string-join names "/")))
       (cond ((gethash new (fake-fids fake)) (list 'Rerror tag "fid in use"))
             ((or (null names) (assoc path (fake-files fake)))
              (puthash new path (fake-fids fake))
              (list 'Rwalk tag (make-list (length names) '(0 0 1))))
             (t (list 'Rerror tag (format "no file '%s'" path))))))
    (`(Topen ,tag ,fid ,_)
     (if (gethash fid (fake-fids fake)) (list 'Ropen tag '(0 0 1) 0) (list 'Rerror tag "unknown fid")))
    (`(Tread ,tag ,fid ,offset ,count)
     (let ((data (cdr (assoc (gethash fid (fake-fids fake)) (fake-files fake)))))
       (cond ((eq data 'block) nil)
             ((functionp data) (funcall data tag offset count))
             (t (let ((from (min offset (length data))))
                  (list 'Rread tag (substring data from (min (length data) (+ from count)))))))))
    (`(Twrite ,tag ,fid ,_ ,data)
     (setf (fake-written fake) (concat (fake-written fake) data))
     (if (equal (gethash fid (fake-fids fake)) "refuse")
         (list 'Rerror tag "not idle: running")
       (list 'Rwrite tag (length data))))
    (`(Tflush ,tag ,_) (list 'Rflush tag))
    (`(Tclunk ,tag ,fid)
     (if (not (gethash fid (fake-fids fake)))
         (list 'Rerror tag "unknown fid")
       (remhash fid (fake-fids fake))
       (list 'Rclunk tag)))))

(defun fake-count (fake type)
  "Return how many requests of TYPE came to FAKE."
  (cl-count type (fake-requests fake) :key #'car))

(provide 'fake-9p)
;;; fake-9p.el ends here
