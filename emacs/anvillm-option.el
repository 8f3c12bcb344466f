;;; anvillm-option.el --- What can be chosen of an agent  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The file `options' of a session: its model, its mode, whatever else its agent
;; lets one choose.  What was chosen is shown in the list and in the header of
;; conversations.  No event tells the values, so they are read, one session after
;; another, when a session is new and when a turn of it begins or ends.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-wait)

(defvar anvillm-option--known (make-hash-table :test #'equal)
  "Options by session: ((NAME VALUE CHOICE...)...).")
(defvar anvillm-option--due nil "Ids of the sessions whose options are to be read.")
(defvar anvillm-option--op nil "The reading that is under way.")

(defun anvillm-option--parse (bytes)
  "Return the options that BYTES, the content of a file, tell."
  (mapcar (lambda (line) (split-string line "\t"))
          (split-string (anvillm-text bytes) "\n" t)))

(defun anvillm-option-get (id name)
  "Return the value of option NAME of session ID as far as it is known, or nil."
  (let ((value (cadr (assoc name (gethash id anvillm-option--known)))))
    (and value (not (string-empty-p value)) value)))

(defun anvillm-option-text (id)
  "Return the model and the mode of session ID as far as they are known."
  (string-join (delq nil (list (anvillm-option-get id "model")
                               (let ((mode (anvillm-option-get id "mode")))
                                 (and (not (equal mode "default")) mode))))
               " "))

;;;; Reading

(defun anvillm-option-read (id)
  "Read the options of session ID in the background."
  (unless (member id anvillm-option--due)
    (setq anvillm-option--due (append anvillm-option--due (list id))))
  (anvillm-option--go-on))

(defun anvillm-option--go-on ()
  "Read the options of the next session, unless one is being read."
  (unless (and anvillm-option--op (not (anvillm-9p-op-done-p anvillm-option--op)))
    (let ((id (pop anvillm-option--due)))
      (cond ((not id))
            ((not (anvillm-9p-live-p anvillm-link-conn)) (setq anvillm-option--due nil))
            (t (setq anvillm-option--op
                     (anvillm-9p-read anvillm-link-conn (concat id "/options")
                                      (lambda (bytes _) (anvillm-option--came id bytes)))))))))

(defun anvillm-option--came (id bytes)
  "Take in BYTES, the options of session ID, or nil, and read the next."
  (setq anvillm-option--op nil)
  (let ((before (anvillm-option-text id)))
    (when (anvillm-session id)
      (puthash id (and bytes (anvillm-option--parse bytes)) anvillm-option--known)
      (unless (equal before (anvillm-option-text id))
        (run-hook-with-args 'anvillm-session-functions id))))
  (anvillm-option--go-on))

(defun anvillm-option--event (event)
  "Read what may be another after EVENT."
  (let ((id (plist-get event :session_id)))
    (pcase (plist-get event :type)
      ("session_end" (remhash id anvillm-option--known))
      ((or "state_change" "session_update") (when (anvillm-session id) (anvillm-option-read id))))))

(defun anvillm-option--session-changed (id)
  "Read the options of session ID if they are not known; of all if it is nil."
  (let ((new (cl-loop for one in (if id (list id) anvillm-order)
                      when (and (anvillm-session one)
                                (eq 'unknown (gethash one anvillm-option--known 'unknown)))
                      collect (progn (puthash one nil anvillm-option--known) one))))
    (when new
      (setq anvillm-option--due (nconc anvillm-option--due new))
      (anvillm-option--go-on))))

(defun anvillm-option-watch ()
  "Know the options of all sessions from now on."
  (add-hook 'anvillm-event-functions #'anvillm-option--event)
  (add-hook 'anvillm-session-functions #'anvillm-option--session-changed))

;;;; Choosing

(defun anvillm-option--read-name (id options)
  "Ask which of the OPTIONS of session ID is meant."
  (if (null (cdr options)) (caar options)
    (completing-read
     (format "Option of %s: " (anvillm-name id))
     (lambda (string predicate action)
       (if (not (eq action 'metadata)) (complete-with-action action options string predicate)
         `(metadata
           (category . anvillm-option)
           (display-sort-function . identity)
           (annotation-function . ,(lambda (name) (concat "  " (cadr (assoc name options))))))))
     nil t)))

(defun anvillm-option--read-value (id option)
  "Ask for a value of OPTION, a list (NAME VALUE CHOICE...), of session ID."
  (pcase-let* ((`(,name ,value . ,choices) option)
               (default (and value (not (string-empty-p value)) value))
               (prompt (format-prompt "%s of %s" default (capitalize name) (anvillm-name id))))
    (if choices (completing-read prompt choices nil t nil nil default)
      (read-string prompt nil nil default))))

;;;###autoload
(defun anvillm-option (id name value)
  "Set the option NAME of the session ID, such as its model, to VALUE.
An agent in its own terminal has it from its next start on."
  (interactive
   (let* ((id (anvillm-current "Options of: "))
          (options (anvillm-option--parse (anvillm-await-read (concat id "/options"))))
          (name (if options (anvillm-option--read-name id options)
                  (user-error "%s has no options" (anvillm-name id)))))
     (list id name (anvillm-option--read-value id (assoc name options)))))
  (when (string-blank-p (or value "")) (user-error "No value"))
  (anvillm-write (concat id "/options") (format "%s %s\n" name value)
                 (anvillm-then name (lambda (_)
                                      (message "%s: %s %s" (anvillm-name id) name value)
                                      (anvillm-option-read id)))))

(provide 'anvillm-option)
;;; anvillm-option.el ends here
