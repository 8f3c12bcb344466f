;;; anvillm-work.el --- Work in small pieces  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Whatever comes of its own accord is dealt with here, so that the keys of the
;; user never wait for it: all of it by one timer, a few milliseconds at a time,
;; in order.  (Each timer of its own would not do: Emacs looks for a key only when
;; every timer that is due has run.)

;;; Code:

(require 'cl-lib)
(require 'anvillm-garbage)

(defconst anvillm-work--slice 0.008 "How long is worked at a time, in seconds.")
(defconst anvillm-work--pause 0.002 "The pause after that, in seconds.")

(defvar anvillm-work--first nil "What is due, the oldest first.")
(defvar anvillm-work--last nil "The last cons of that.")
(defvar anvillm-work--timer nil "The timer that will do it.")

(defun anvillm-work (function &rest args)
  "Apply FUNCTION to ARGS soon, after what was asked for before.
If it returns `again' it is applied once more, after what waits then."
  (let ((new (list (cons function args))))
    (if anvillm-work--first (setcdr anvillm-work--last new)
      (setq anvillm-work--first new))
    (setq anvillm-work--last new))
  (unless anvillm-work--timer
    (setq anvillm-work--timer (run-at-time 0 nil #'anvillm-work--run))))

(defun anvillm-work-idle-p ()
  "Return non-nil if nothing is due."
  (null anvillm-work--first))

(defvar anvillm-work--end nil "When time is up, while something is worked on.")

(defun anvillm-work-while (more one)
  "Call ONE, again and again, as long as there is MORE.
It is called once at least, and then as long as there is time.
What ONE works on in this way has the same time."
  (let ((anvillm-work--end (or anvillm-work--end (+ (float-time) anvillm-work--slice))) (first t))
    (while (and (funcall more) (or first (< (float-time) anvillm-work--end)))
      (setq first nil)
      (anvillm-work-guard one nil))))

(defun anvillm-work--run ()
  "Do what is due, as long as there is time."
  (setq anvillm-work--timer nil)
  (anvillm-garbage-later)
  (let (anvillm-work--end)
    (anvillm-work-while (lambda () anvillm-work--first) #'anvillm-work--one))
  (when (and anvillm-work--first (not anvillm-work--timer))
    (setq anvillm-work--timer (run-at-time anvillm-work--pause nil #'anvillm-work--run))))

(defun anvillm-work--one ()
  "Do the first thing that is due."
  (let ((call (pop anvillm-work--first)))
    (when (eq 'again (anvillm-work-guard (car call) (cdr call)))
      (apply #'anvillm-work call))))

(defun anvillm-work-guard (function args)
  "Apply FUNCTION to ARGS and return its value.
An error becomes a message, never more."
  (condition-case err
      (apply function args)
    ((debug error) (message "anvillm: %s" (error-message-string err)) nil)))

(provide 'anvillm-work)
;;; anvillm-work.el ends here
