;;; anvillm-waiting.el --- All that waits to be said  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The prompts that wait in the queues of all sessions, and your drafts, in one
;; list: show, edit, withdraw, put first, give to another session.

;;; Code:

(require 'anvillm-queue)

(defvar-local anvillm-waiting--rows nil "What is shown: ((KEY SESSION NUMBER KIND WHEN WORDS)...).")
(defvar-local anvillm-waiting--found nil "What the queues are known to hold, by session.")

(defun anvillm-waiting--drafts ()
  "Return the rows of the drafts on disk."
  (let ((directory (file-name-directory (anvillm-compose-draft-file "x"))))
    (cl-loop for (name . attributes)
             in (and (file-directory-p directory)
                     (directory-files-and-attributes directory nil "\\`[0-9a-f]\\{8\\}\\'"))
             collect (list (concat "draft " name) name nil "draft"
                           (anvillm-ago
                            (float-time (file-attribute-modification-time attributes)))
                           (with-temp-buffer
                             (insert-file-contents (expand-file-name name directory) nil 0 400)
                             (anvillm-one-line (anvillm-visible (buffer-string))))))))

(defun anvillm-waiting--draw ()
  "Draw what is known."
  (setq anvillm-waiting--rows
        (append (cl-loop for id in anvillm-order
                         append (cl-loop for (number origin when words) in
                                         (cdr (assoc id anvillm-waiting--found))
                                         collect (list (concat id " " number) id number
                                                       (if (equal origin "mail") "mail" "prompt")
                                                       (anvillm-queue-age when)
                                                       words)))
                (anvillm-waiting--drafts)))
  (anvillm-rows-draw (mapcar #'car anvillm-waiting--rows) #'anvillm-waiting--line
                     (lambda () (insert "\n  Nothing waits, and there are no drafts.\n"))))

(defun anvillm-waiting--line (key)
  "Return the row of KEY."
  (pcase-let* ((`(,_ ,id ,number ,kind ,when ,words) (assoc key anvillm-waiting--rows))
               (line (concat "  "
                             (anvillm-rows-fit (propertize (anvillm-name id) 'face 'anvillm-name)
                                               16)
                             " " (anvillm-rows-fit (propertize (or number "") 'face 'anvillm-id) 5)
                             " " (anvillm-rows-fit kind 6) " " (anvillm-rows-fit when 5) " " words
                             "\n")))
    (put-text-property 0 (length line) 'tabulated-list-id key line)
    line))

(defun anvillm-waiting-refresh (&rest _)
  "Read the queues again of the sessions that have any."
  (interactive)
  (unless (derived-mode-p 'anvillm-waiting-mode)
    (user-error "This is not the list of waiting prompts"))
  (anvillm-conn)
  (setq anvillm-waiting--found nil)
  (dolist (session (anvillm-sessions))
    (let ((id (anvillm-id session)))
      (when (> (or (plist-get session :queued) 0) 0)
        (anvillm-read (concat id "/turns/list")
                      (anvillm-then "queue" (lambda (bytes)
                                              (setf (alist-get id anvillm-waiting--found nil nil
                                                               #'equal)
                                                    (anvillm-queue-parse bytes))
                                              (anvillm-waiting--draw)))))))
  (anvillm-waiting--draw))

(defun anvillm-waiting--here ()
  "Return (SESSION NUMBER KIND) of the row here, or signal a `user-error'."
  (let ((row (assoc (tabulated-list-get-id) anvillm-waiting--rows)))
    (unless row (user-error "Nothing here"))
    (list (nth 1 row) (nth 2 row) (nth 3 row))))

(defun anvillm-waiting-edit ()
  "Edit what is here: a draft, or a prompt in its queue."
  (interactive)
  (pcase (anvillm-waiting--here)
    (`(,id nil ,_) (anvillm-compose (list id)))
    (`(,_ ,_ "mail") (user-error "A delivered message cannot be edited"))
    (`(,id ,number ,_)
     (let ((path (format "%s/turns/%s/prompt" id number)))
       (anvillm-read path (anvillm-then "edit" (lambda (bytes)
                                                 (anvillm-queue-edit-text id number path
                                                                          (decode-coding-string
                                                                           bytes 'utf-8 t)))))))))

(defun anvillm-waiting-drop ()
  "Withdraw the prompt here, or throw the draft away."
  (interactive)
  (pcase (anvillm-waiting--here)
    (`(,id nil ,_)
     (when (anvillm-compose-buffer id) (user-error "This draft is being written"))
     (when (yes-or-no-p (format "Throw the draft to %s away? " (anvillm-name id)))
       (anvillm-compose-write-draft (anvillm-compose-draft-file id) nil)
       (anvillm-waiting--draw)))
    (`(,id ,number ,_) (anvillm-waiting--ctl id number "drop"))))

(defun anvillm-waiting-first ()
  "Put the prompt here first in its queue."
  (interactive)
  (pcase-let ((`(,id ,number ,_) (anvillm-waiting--here)))
    (unless number (user-error "A draft is in no queue"))
    (anvillm-waiting--ctl id number "first")))

(defun anvillm-waiting--ctl (id number word)
  "Have WORD done to the prompt NUMBER of session ID."
  (anvillm-write (format "%s/turns/%s/ctl" id number) (concat word "\n")
                 (anvillm-then word (lambda (_)
                                      (message "Prompt %s of %s: %s" number (anvillm-name id) word)
                                      (anvillm-waiting-refresh)))))

(defun anvillm-waiting-move (to)
  "Give the prompt here to the session TO instead.
It is withdrawn where it was only once the other has accepted it."
  (interactive (list (progn (anvillm-waiting--here) (anvillm-read-session "Move to: "))))
  (pcase-let ((`(,id ,number ,kind) (anvillm-waiting--here)))
    (unless (equal kind "prompt") (user-error "Only a prompt can be moved"))
    (anvillm-read (format "%s/turns/%s/prompt" id number)
                  (anvillm-then
                   "move"
                   (lambda (bytes)
                     (anvillm-write
                      (concat to "/in") bytes
                      (anvillm-then "move"
                                    (lambda (_) (anvillm-waiting--ctl id number "drop")))))))))

(defvar anvillm-waiting-mode-map (anvillm-bindings-map 'waiting special-mode-map)
  "Keys of what waits.")

(define-derived-mode anvillm-waiting-mode tabulated-list-mode "AnviLLM-Waiting"
  "What waits in the queues of all sessions, and drafts.

\\{anvillm-waiting-mode-map}"
  :interactive nil
  (setq-local tabulated-list-format
              [("Session" 16 nil) ("Nr" 5 nil) ("Kind" 6 nil) ("When" 5 nil) ("Prompt" 0 nil)]
              tabulated-list-padding 2
              revert-buffer-function #'anvillm-waiting-refresh
              truncate-lines t
              anvillm-client t
              anvillm-current-function
              (lambda () (nth 1 (assoc (tabulated-list-get-id) anvillm-waiting--rows))))
  (add-hook 'anvillm-event-functions #'anvillm-waiting--event)
  (anvillm-window-keeps-text)
  (hl-line-mode)
  (tabulated-list-init-header))

(defun anvillm-waiting--event (event)
  "Show what EVENT may have changed."
  (let ((buffer (get-buffer "*anvillm waiting*")))
    (when (and buffer (get-buffer-window buffer t)
               (member (plist-get event :type) '("state_change" "message" "response"))
               (anvillm-9p-live-p anvillm-link-conn))
      (with-current-buffer buffer (anvillm-waiting-refresh)))))

;;;###autoload
(defun anvillm-waiting ()
  "Show the queues of all sessions, and your drafts."
  (interactive)
  (anvillm-conn)
  (let ((buffer (get-buffer-create "*anvillm waiting*")))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-waiting-mode) (anvillm-waiting-mode))
      (anvillm-waiting-refresh))
    (pop-to-buffer buffer)))

(provide 'anvillm-waiting)
;;; anvillm-waiting.el ends here
