;;; anvillm-resume.el --- Bookmarks and the desktop  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The list and conversations can be bookmarked and come back with the desktop.
;; A session is found again by its id or, if that is gone, by its name.

;;; Code:

(require 'anvillm)
(require 'anvillm-talk)

(declare-function bookmark-prop-get "bookmark" (bookmark-name-or-record prop))

(defun anvillm-resume--id (id name)
  "Return the id of the session that was ID, or that is called NAME now."
  (if (anvillm-session id) id
    (anvillm-id (cl-find name (anvillm-sessions) :key (lambda (s) (anvillm-name (anvillm-id s)))
                         :test #'equal))))

(defun anvillm-resume--buffer (id name)
  "Return the conversation of session ID, called NAME, or nil if it is gone.
Nobody waits for the daemon: who has the name now is looked for when it tells."
  (anvillm-connect-later)
  (let ((now (anvillm-resume--id id name)))
    (cond (now (anvillm-conversation-buffer now))
          ((eq (anvillm-link-status) 'live) nil)
          (t (let ((buffer (anvillm-conversation-buffer id name)))
               (anvillm-resume--aim-later buffer name)
               buffer)))))

(defun anvillm-resume--aim-later (buffer name)
  "Let BUFFER show who is called NAME once that is known, if its own is gone."
  (letrec ((aim (lambda ()
                  (when (eq (anvillm-link-status) 'live)
                    (remove-hook 'anvillm-arrival-hook aim)
                    (when (buffer-live-p buffer)
                      (with-current-buffer buffer
                        (let ((now (anvillm-resume--id anvillm-buffer-session name)))
                          (unless (member now (list nil anvillm-buffer-session))
                            (anvillm-talk-aim now)))))))))
    (add-hook 'anvillm-arrival-hook aim)))

;;;###autoload
(defun anvillm-bookmark-list ()
  "Return a bookmark of the list."
  `("anvillm" (handler . anvillm-bookmark-jump)
    (filter . ,(and (boundp 'anvillm-list-filter) anvillm-list-filter))))

;;;###autoload
(defun anvillm-bookmark-conversation ()
  "Return a bookmark of this conversation."
  `(,(concat "anvillm " (anvillm-name anvillm-buffer-session))
    (handler . anvillm-bookmark-jump)
    (session . ,anvillm-buffer-session)
    (name . ,(anvillm-name anvillm-buffer-session))))

;;;###autoload
(defun anvillm-bookmark-jump (bookmark)
  "Go to what BOOKMARK stands for."
  (let ((session (bookmark-prop-get bookmark 'session))
        (filter (bookmark-prop-get bookmark 'filter)))
    (cond (session
           (let ((name (bookmark-prop-get bookmark 'name)))
             (set-buffer (or (anvillm-resume--buffer session name)
                             (user-error "The session %s is gone" name)))))
          (t
           (set-buffer (anvillm-list-buffer))
           (when filter (anvillm-filter filter))
           (anvillm-connect-later)))))

;;;###autoload
(defun anvillm-desktop-restore (_file _name misc)
  "Bring a buffer of the desktop back; MISC is the session's id and name, or t."
  (if (not (consp misc))
      (prog1 (anvillm-list-buffer)
        (anvillm-connect-later))
    (anvillm-resume--buffer (car misc) (cadr misc))))

(provide 'anvillm-resume)
;;; anvillm-resume.el ends here
