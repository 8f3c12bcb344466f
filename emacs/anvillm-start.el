;;; anvillm-start.el --- Starting a session  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A session is started with a backend in a directory, and with options where
;; they are asked for.

;;; Code:

(require 'anvillm-which)

;;;; Start

(defvar anvillm--last-backend nil "The backend started last.")

(defun anvillm--read-backend ()
  "Ask for a backend."
  (unless anvillm-backends
    (let (done)
      (anvillm-read-backends (lambda () (setq done t)))
      (anvillm-await (lambda () (or done anvillm-backends)))))
  (let ((default (or anvillm--last-backend
                     (car (cl-find "ok" anvillm-backends :key #'caddr :test #'equal)))))
    (completing-read
     (format-prompt "Backend" default)
     (lambda (string predicate action)
       (if (eq action 'metadata)
           `(metadata (category . anvillm-backend)
                      (annotation-function
                       . ,(lambda (name)
                            (pcase (assoc name anvillm-backends)
                              (`(,_ ,title ,status . ,_)
                               (concat "  " title (unless (equal status "ok")
                                                    (propertize (concat "  " status) 'face
                                                                'anvillm-error))))))))
         (complete-with-action action anvillm-backends string predicate)))
     nil nil nil nil default)))

(defun anvillm--read-options ()
  "Ask for the options of a new session."
  (cl-loop for key in '(alias role tasks branch model mode)
           for prompt = (format "%s (empty for none): " (capitalize (symbol-name key)))
           collect (cons key (if (eq key 'role) (anvillm--read-role prompt) (read-string prompt)))))

(defun anvillm--read-role (prompt)
  "Ask with PROMPT for a role; each is shown with what it is for."
  (let ((roles (mapcar (lambda (line) (split-string line "\t"))
                       (split-string (anvillm-text (anvillm-await-read "roles")) "\n" t))))
    (completing-read
     prompt
     (lambda (string predicate action)
       (if (not (eq action 'metadata)) (complete-with-action action roles string predicate)
         `(metadata
           (category . anvillm-role)
           (annotation-function . ,(lambda (name) (concat "  " (cadr (assoc name roles)))))))))))

(defun anvillm-default-directory ()
  "Return the directory that a new session is offered."
  (let ((id (anvillm-at-point)))
    (if id (file-name-as-directory (anvillm-get id :cwd))
      (anvillm-project-root default-directory))))

;;;###autoload
(defun anvillm-start (backend directory &optional options)
  "Start a session of BACKEND in DIRECTORY.
With a prefix argument ask for OPTIONS too: an alist of alias, role, tasks,
branch, model and mode."
  (interactive
   (progn
     (anvillm-conn)
     (list (anvillm--read-backend)
           ;; Whether it is there is asked for below, and of no other machine.
           (read-directory-name "In directory: " (anvillm-default-directory))
           (when current-prefix-arg
             (anvillm--read-options)))))
  (when (string-blank-p backend) (user-error "Which backend?"))
  (when (file-remote-p directory)
    (user-error
     (concat "%s is on another machine; a session there needs a daemon there:"
              " run anvilsrv on it, and Emacs or anvillm")
     directory))
  (unless (file-directory-p directory) (user-error "%s is not a directory" directory))
  (setq anvillm--last-backend backend)
  (let ((command (string-join
                  `("new" ,(anvillm-quote backend)
                    ,(anvillm-quote (directory-file-name (expand-file-name directory)))
                    ,@(cl-loop for (key . value) in options
                               unless (string-blank-p value)
                               collect (anvillm-quote (format "%s=%s" key
                                                              (string-replace " " "" value)))))
                  " ")))
    (message "Starting %s..." backend)
    (anvillm-9p-write-read (anvillm-conn) "ctl" (concat command "\n")
                           (anvillm-then "start" (lambda (bytes)
                                                   (let ((id (anvillm-text bytes)))
                                                     (message "Started %s %s" backend id)
                                                     (run-hook-with-args 'anvillm-started-functions
                                                                         id)))))))

(defvar anvillm-started-functions nil "Called with the id of a session that was started from here.")

(provide 'anvillm-start)
;;; anvillm-start.el ends here
