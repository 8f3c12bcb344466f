;;; anvillm-option.el --- What can be chosen of an agent  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The file `options' of a session: its model, its mode, whatever else its agent
;; lets one choose.  Which model and mode it has is known of every session.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-wait)

(defun anvillm-option--parse (bytes)
  "Return the options that BYTES, the content of a file, tell."
  (mapcar (lambda (line) (split-string line "\t"))
          (split-string (anvillm-text bytes) "\n" t)))

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
                                      (message "%s: %s %s" (anvillm-name id) name value)))))

(provide 'anvillm-option)
;;; anvillm-option.el ends here
