;;; anvillm-garbage.el --- When garbage is collected  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A collection takes as long as several pieces of work, even in an Emacs that does
;; nothing else, and a key that is pressed meanwhile waits.  So what agents send while
;; the user types is collected when the user pauses, not in the middle of a word.

;;; Code:

(defconst anvillm-garbage--most (* 8 1024 1024)
  "How much garbage may lie about until the user pauses, in bytes.
An agent's megabyte leaves six.  To collect takes longer the more there is:
where eight megabytes took 10 ms more than none, 16 took 20.")
(defconst anvillm-garbage--pause 0.5 "What is a pause, in seconds.")

(defvar anvillm-garbage--before nil "The threshold that the user had, while it is raised, or nil.")
(defvar anvillm-garbage--timer nil "The timer that waits for a pause.")

(defun anvillm-garbage-later ()
  "Collect garbage when the user pauses, and until then only if there is very much.
In a long pause it is collected once a second at most."
  (unless anvillm-garbage--before
    (setq anvillm-garbage--before gc-cons-threshold
          gc-cons-threshold (max gc-cons-threshold anvillm-garbage--most)
          anvillm-garbage--timer
          (run-with-timer (- 1 anvillm-garbage--pause) nil
                          (lambda ()
                            (setq anvillm-garbage--timer
                                  (run-with-idle-timer anvillm-garbage--pause nil
                                                       #'anvillm-garbage-as-before)))))))

(defun anvillm-garbage-as-before ()
  "Collect garbage as before, unless other code has set the threshold."
  (let ((before (prog1 anvillm-garbage--before (setq anvillm-garbage--before nil))))
    (when anvillm-garbage--timer
      (cancel-timer anvillm-garbage--timer)
      (setq anvillm-garbage--timer nil))
    (when (and before (= gc-cons-threshold (max before anvillm-garbage--most)))
      (setq gc-cons-threshold before))))

(provide 'anvillm-garbage)
;;; anvillm-garbage.el ends here
