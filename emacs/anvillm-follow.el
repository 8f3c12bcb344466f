;;; anvillm-follow.el --- What an agent does, as it comes  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A conversation follows the file `activity' of its session, from the first of
;; the last turns, over every connection.  What comes is drawn a piece at a time.
;; A daemon without that file is followed by its `log'.

;;; Code:

(require 'anvillm-older)

(defvar-local anvillm-follow-seq nil
  "The number of the last object; 0 before the first, nil if nothing is known.")
(defvar-local anvillm-follow--rest nil "The beginning of a line: pieces of bytes, the last first.")
(defvar-local anvillm-follow--due nil "Lines that have come and are not drawn yet.")
(defvar-local anvillm-follow--drawing nil "Non-nil while they are being drawn.")
(defvar-local anvillm-follow-by-log nil "Non-nil where there is only the log.")

;;;; The stream

(defun anvillm-follow ()
  "Follow the activity of this buffer's session, from where it was left."
  (cond (anvillm-follow-by-log (anvillm-log-follow))
        ((or anvillm-log-op anvillm-log-over (not (anvillm-9p-live-p anvillm-link-conn))))
        (anvillm-follow-seq (anvillm-follow--stream))
        (t (setq anvillm-log-op
                 (anvillm-9p-read anvillm-link-conn (concat anvillm-buffer-session "/turns/list")
                                  (anvillm-here #'anvillm-follow--listed))))))

(defun anvillm-follow--listed (bytes err)
  "The list of exchanges came as BYTES, or ERR."
  (setq anvillm-log-op nil)
  (pcase err
    ('nil
     (dolist (line (split-string (decode-coding-string bytes 'utf-8 t) "\n" t))
       (pcase (split-string line "\t")
         (`(,number ,(or "running" "done" "failed") . ,_) (push (string-to-number number)
                                                                anvillm-older-turns))))
     (setq anvillm-older-turns (sort anvillm-older-turns #'>)
           anvillm-draw-entries (make-hash-table :test #'equal))
     (if (nthcdr anvillm-turns anvillm-older-turns)
         (anvillm-follow--seek (nreverse (seq-take anvillm-older-turns anvillm-turns)))
       (setq anvillm-follow-seq 0)
       (anvillm-follow--stream)))
    (`(anvillm-9p-error . ,_)
     (setq anvillm-follow-by-log t)
     (anvillm-log-follow))))

(defun anvillm-follow--seek (numbers)
  "Begin with the first of NUMBERS of which there is any activity."
  (if (not numbers)
      (progn (setq anvillm-follow-seq 0) (anvillm-follow--stream))
    (setq anvillm-log-op
          (anvillm-9p-stream
           anvillm-link-conn (format "%s/turns/%d/activity" anvillm-buffer-session (car numbers))
           (anvillm-here (lambda (bytes)
                           (when (string-match "\"seq\":\\([0-9]+\\)" bytes)
                             (let ((first (string-to-number (match-string 1 bytes))))
                               (anvillm-9p-cancel (cl-shiftf anvillm-log-op nil))
                               (setq anvillm-follow-seq (1- first))
                               (anvillm-follow--stream)))))
           (anvillm-here (lambda (err)
                           (setq anvillm-log-op nil)
                           (when (or (null err) (eq (car err) 'anvillm-9p-error))
                             (anvillm-follow--seek (cdr numbers)))))))))

(defun anvillm-follow--stream ()
  "Follow what comes after the last object."
  (setq anvillm-follow--due nil ; it comes again
        anvillm-follow--rest nil
        anvillm-log-op
        (anvillm-9p-stream
         anvillm-link-conn
         (concat anvillm-buffer-session "/activity"
                 (if (> anvillm-follow-seq 0) (format ".%d" anvillm-follow-seq) ""))
         (anvillm-here #'anvillm-follow--came)
         (anvillm-here #'anvillm-log-ended)))
  (anvillm-older-offer))

(defun anvillm-follow--came (bytes)
  "Take in BYTES of the stream."
  (if (not (string-search "\n" bytes))
      (push bytes anvillm-follow--rest)
    (let ((lines (split-string (apply #'concat
                                      (nreverse (cons bytes (cl-shiftf anvillm-follow--rest nil))))
                               "\n")))
      (setq anvillm-follow--due (nconc anvillm-follow--due (butlast lines)))
      (let ((rest (car (last lines))))
        (unless (string-empty-p rest) (push rest anvillm-follow--rest)))
      (unless anvillm-follow--drawing
        (when (anvillm-follow--draw) (anvillm-work (anvillm-here #'anvillm-follow--draw)))))))

(defun anvillm-follow--draw ()
  "Draw what has come, for a few milliseconds; return `again' if more is left."
  (anvillm-draw-writing
    (anvillm-work-while (lambda () anvillm-follow--due)
                        (lambda () (anvillm-follow--take (pop anvillm-follow--due)))))
  (anvillm-look-wait (and anvillm-follow--due t))
  (setq anvillm-follow--drawing (and anvillm-follow--due 'again)))

(defun anvillm-follow--take (line)
  "Draw the object in LINE."
  (let ((object (anvillm-json line)))
    (when (plist-get object :seq) (setq anvillm-follow-seq (plist-get object :seq)))
    (when (and object (not (equal (plist-get object :kind) "usage"))) (anvillm-draw object))))

(defun anvillm-follow-forget ()
  "Forget what has come."
  (setq anvillm-follow--due nil anvillm-follow--rest nil anvillm-follow-seq nil
        anvillm-follow-by-log nil anvillm-draw-entries nil)
  (anvillm-older-forget))

(provide 'anvillm-follow)
;;; anvillm-follow.el ends here
