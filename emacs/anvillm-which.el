;;; anvillm-which.el --- Which session is meant  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The session at hand: that of the row in the list, of the conversation, of the
;; mail; or one that is asked for with completion.

;;; Code:

(require 'anvillm-buffer)
(require 'anvillm-link)
(require 'anvillm-wait)
(require 'anvillm-state)

(declare-function anvillm-conversation "anvillm-talk" (id))

(defvar-local anvillm-current-function nil "Function that returns the id of the session at point.")
(defvar-local anvillm-marked-function nil "Function that returns the ids of marked sessions.")

;;;; Which session

(defun anvillm-at-point ()
  "Return the id of the session at hand, or nil."
  (let ((id (or (and anvillm-current-function (funcall anvillm-current-function))
                anvillm-buffer-session)))
    (and (anvillm-session id) id)))

(defun anvillm-current (&optional prompt)
  "Return the id of the session at hand, or ask for one with PROMPT."
  (or (anvillm-at-point) (anvillm-read-session (or prompt "Session: "))))

(defun anvillm-current-many (&optional prompt)
  "Return the ids of the marked sessions, or of the one at hand.
Else ask with PROMPT."
  (or (and anvillm-marked-function (funcall anvillm-marked-function))
      (list (anvillm-current prompt))))

(defvar anvillm--roots (make-hash-table :test #'equal) "Roots of projects by directory.")

(defun anvillm--project-top-p (directory)
  "Return non-nil if DIRECTORY is the top of a project.
`project-current' would set the local variables that an agent may have written
there, and evaluate them."
  (cl-some (lambda (mark) (file-exists-p (expand-file-name mark directory)))
           '(".git" ".hg" ".jj" ".svn" ".bzr" ".project")))

(defun anvillm-project-root (directory)
  "Return the root of the project of DIRECTORY, or DIRECTORY itself."
  (let ((directory (file-name-as-directory directory)))
    (or (gethash directory anvillm--roots)
        (puthash directory
                 (if (file-remote-p directory)
                     directory
                   (expand-file-name
                    (or (locate-dominating-file directory #'anvillm--project-top-p) directory)))
                 anvillm--roots))))

(defun anvillm-by-recency (sessions)
  "Return SESSIONS, the one that changed last first."
  (sort (copy-sequence sessions)
        (lambda (a b) (> (or (plist-get a :changed) 0) (or (plist-get b :changed) 0)))))

(defun anvillm-project-sessions (&optional directory)
  "Return the sessions of the project of DIRECTORY, most recent first."
  (let ((root (anvillm-project-root (or directory default-directory))))
    (anvillm-by-recency
     (cl-remove-if-not (lambda (s)
                         (let ((cwd (plist-get s :cwd)))
                           (and cwd (string-prefix-p root (file-name-as-directory cwd)))))
                       (anvillm-sessions)))))

(defun anvillm-read-session (prompt &optional sessions first)
  "Ask for one of SESSIONS with PROMPT and return its id.
The default is the most recent one of this project; the first if FIRST."
  (anvillm-await-sessions)
  (let* ((all (or sessions (anvillm-by-recency (anvillm-sessions))))
         (here (and (not first) (car (anvillm-project-sessions))))
         (table (mapcar (lambda (s) (cons (anvillm-name (anvillm-id s)) (anvillm-id s))) all))
         (default (and here (memq here all) (anvillm-name (anvillm-id here)))))
    (unless table (user-error "There are no sessions"))
    (cdr (assoc (completing-read (format-prompt (string-remove-suffix ": " prompt) default)
                                 (anvillm-session-table table) nil t nil nil
                                 (or default (caar table)))
                table))))

(defvar anvillm--recent nil "Ids of the sessions whose conversations were shown, the last first.")

(defun anvillm-note-shown (id)
  "Note that the conversation of session ID is shown."
  (setq anvillm--recent (cons id (delete id (seq-take anvillm--recent 50)))))

(defun anvillm-recent-sessions ()
  "Return the sessions whose conversations were shown, the last first.
The one at hand comes at the end."
  (let ((here (anvillm-at-point)))
    (delq nil (mapcar #'anvillm-session
                      (append (remove here anvillm--recent)
                              (and (member here anvillm--recent) (list here)))))))

;;;###autoload
(defun anvillm-recent (id)
  "Show the conversation of the session ID, chosen from those viewed last."
  (interactive (list (anvillm-read-session "Recent session: "
                                           (or (anvillm-recent-sessions)
                                               (user-error "No conversation was shown yet"))
                                           t)))
  (anvillm-conversation id))

(defun anvillm-session-table (table)
  "Return a completion table of TABLE, an alist from names to ids."
  (lambda (string predicate action)
    (if (not (eq action 'metadata))
        (complete-with-action action table string predicate)
      `(metadata
        (category . anvillm-session)
        (display-sort-function . identity)
        (group-function . ,(lambda (name transform)
                             (if transform name
                               (abbreviate-file-name
                                (anvillm-project-root
                                 (or (anvillm-get (cdr (assoc name table)) :cwd) "/"))))))
        (annotation-function
         . ,(lambda (name)
              (let ((s (anvillm-session (cdr (assoc name table)))))
                (when s
                  (concat "  " (anvillm-state-text s) "  " (plist-get s :backend) "  "
                          (abbreviate-file-name (or (plist-get s :cwd) "")) "  "
                          (anvillm-note s))))))))))

(provide 'anvillm-which)
;;; anvillm-which.el ends here
