;;; anvillm-menu.el --- The commands as a menu  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; All commands behind one key, for those who do not know the others yet.  This is
;; the only part that needs transient; nothing else loads it.

;;; Code:

(require 'anvillm)
(require 'anvillm-bindings)
(require 'transient)

(defun anvillm-menu--heading ()
  "Return the heading of the commands on a session: which one they are about."
  (let ((id (anvillm-at-point)) (marked (and anvillm-marked-function
                                             (funcall anvillm-marked-function))))
    (cond ((or (cdr marked) (and marked (not (equal (car marked) id))))
           (concat "Marked (p P t R X K w are about these): "
                   (propertize (anvillm-names marked) 'face 'anvillm-name)
                   (if id (concat "; the others about " (anvillm-menu--one id)) "")))
          (id (concat "Session " (anvillm-menu--one id)))
          (t "Session"))))

(defun anvillm-menu--one (id)
  "Return the words for session ID in the heading."
  (format "%s (%s)" (propertize (anvillm-name id) 'face 'anvillm-name)
          (anvillm-state-text (anvillm-session id))))

(defun anvillm-menu--changed (&rest _)
  "Show in the menu what is so now, if it is open."
  (when (and transient--prefix (eq 'anvillm-menu (oref transient--prefix command))
             (window-live-p transient--window))
    (transient--show)))
(add-hook 'anvillm-session-functions #'anvillm-menu--changed)

;; The rows are those of the table of keys.
(defmacro anvillm-menu--define ()
  "Define the menu."
  `(transient-define-prefix anvillm-menu ()
     "Show the commands in a menu."
     [:description anvillm-menu--heading ,@(anvillm-bindings-columns 'session)]
     [,@(anvillm-bindings-columns 'anywhere)]))

;;;###autoload (autoload 'anvillm-menu "anvillm-menu" "Show the commands in a menu." t)
(anvillm-menu--define)

(provide 'anvillm-menu)
;;; anvillm-menu.el ends here
