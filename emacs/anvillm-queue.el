;;; anvillm-queue.el --- What waits for a session  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The prompts that wait for a session, in the order in which its agent gets
;; them: drop one, put it first, edit it; hold the queue and let it go on.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-rows)
(require 'anvillm-compose)

(defvar-local anvillm-queue--waiting nil
  "The prompts shown here: lists (NUMBER ORIGIN WHEN WORDS), all strings.")
(defvar-local anvillm-queue--reading nil "The reading of the queue that is under way.")

(defun anvillm-queue-parse (bytes)
  "Return what waits, from BYTES: the content of the file list of a session."
  (cl-loop for line in (split-string (decode-coding-string bytes 'utf-8 t) "\n" t)
           for row = (split-string (anvillm-visible line) "\t")
           when (equal (nth 1 row) "queued") collect
           (list (nth 0 row) (nth 2 row) (nth 3 row) (nth 7 row))))

(defun anvillm-queue-age (when)
  "Return how long ago WHEN was, a time as the daemon writes it."
  (anvillm-ago (anvillm-time when)))

(defun anvillm-queue--line (number)
  "Return the row of the prompt NUMBER."
  (pcase-let* ((`(,_ ,origin ,when ,words) (assoc number anvillm-queue--waiting))
               (line (concat "  " (anvillm-rows-fit (propertize number 'face 'anvillm-id) 5)
                             " " (anvillm-rows-fit (if (equal origin "mail") "mail" "prompt") 6)
                             " " (anvillm-rows-fit (anvillm-queue-age when) 5)
                             " " words "\n")))
    (put-text-property 0 (length line) 'tabulated-list-id number line)
    line))

(defun anvillm-queue-refresh ()
  "Read the queue again."
  (interactive)
  (anvillm-conn)
  (anvillm-9p-cancel anvillm-queue--reading)
  (anvillm-rows-reading)
  (setq anvillm-queue--reading
        (anvillm-read (concat anvillm-buffer-session "/turns/list")
                      (anvillm-then "queue" #'anvillm-queue--take))))

(defun anvillm-queue--take (bytes)
  "Show what waits, from BYTES."
  (setq anvillm-queue--waiting (anvillm-queue-parse bytes))
  (anvillm-rows-draw (mapcar #'car anvillm-queue--waiting) #'anvillm-queue--line
                     (lambda ()
                       (insert (format "\n  Nothing waits for %s.\n"
                                       (anvillm-name anvillm-buffer-session))))))

(defun anvillm-queue--held ()
  "Return why the queue is held, for the mode line."
  (let ((held (anvillm-get anvillm-buffer-session :held)) (link (anvillm-link-text)))
    (anvillm-literal
     (concat (if (member held '(nil "")) ""
               (propertize (concat " held: " (anvillm-one-line held)) 'face 'anvillm-waiting))
             (if link (propertize (concat " " link) 'face 'anvillm-waiting) "")))))

(defvar anvillm-queue-mode-map (anvillm-bindings-map 'queue special-mode-map)
  "Keys of a queue.")

(define-derived-mode anvillm-queue-mode tabulated-list-mode "AnviLLM-Queue"
  "What waits for a session.

\\{anvillm-queue-mode-map}"
  :interactive nil
  (setq-local tabulated-list-format [("Nr" 5 nil) ("Kind" 6 nil) ("When" 5 nil) ("Prompt" 0 nil)]
        tabulated-list-padding 2
        revert-buffer-function (lambda (&rest _) (anvillm-queue-refresh))
        truncate-lines t
        mode-line-process '(:eval (anvillm-queue--held))
        anvillm-client t)
  (add-hook 'anvillm-event-functions #'anvillm-queue--event)
  (add-hook 'anvillm-session-functions #'anvillm-queue--session-changed)
  (add-hook 'anvillm-link-hook #'anvillm-queue--link-changed)
  (anvillm-window-keeps-text)
  (hl-line-mode)
  (tabulated-list-init-header))

(defun anvillm-queue--each (predicate function)
  "Call FUNCTION in the queues of the sessions whose id satisfies PREDICATE."
  (dolist (buffer (buffer-list))
    (when (eq (buffer-local-value 'major-mode buffer) 'anvillm-queue-mode)
      (with-current-buffer buffer
        (when (and (funcall predicate anvillm-buffer-session) (anvillm-9p-live-p anvillm-link-conn))
          (funcall function))))))

(defun anvillm-queue--event (event)
  "Show what EVENT may have changed."
  (when (anvillm-event-changes-p event "sessions")
    (let ((id (plist-get event :session_id)))
      (anvillm-queue--each (lambda (shown)
                             (and (or (null id) (equal shown id)) (anvillm-session shown)))
                           #'anvillm-queue-refresh))))

(defun anvillm-queue--session-changed (id)
  "Session ID, or any if it is nil, may be held or not by now."
  (anvillm-queue--each (lambda (shown) (or (null id) (equal shown id))) #'force-mode-line-update))

(defun anvillm-queue--link-changed ()
  "Read the queues again when the link is up again."
  (when (eq (anvillm-link-status) 'live)
    (anvillm-queue--each #'anvillm-session #'anvillm-queue-refresh)))

;;;###autoload
(defun anvillm-queue (id)
  "Show the queue of the session ID."
  (interactive (list (anvillm-current "Queue of: ")))
  (anvillm-conn) ; no empty buffer if there is none
  (let ((buffer (anvillm-buffer-get id "*anvillm queue %s*")))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-queue-mode) (anvillm-queue-mode))
      (anvillm-queue-refresh))
    (pop-to-buffer buffer)))

;;;; What can be done

(defun anvillm-queue--here ()
  "Return the number of the prompt here, or signal a `user-error'."
  (or (tabulated-list-get-id) (user-error "No prompt here")))

(defun anvillm-queue--path (number file)
  "Return the path of FILE of the prompt NUMBER."
  (format "%s/turns/%s/%s" anvillm-buffer-session number file))

(defun anvillm-queue--move (word)
  "Have WORD, drop or first, done to the prompt here."
  (let ((number (anvillm-queue--here)))
    (anvillm-write (anvillm-queue--path number "ctl") (concat word "\n")
                   (anvillm-then word (lambda (_)
                                        (message "Prompt %s: %s" number word)
                                        (anvillm-queue-refresh))))))

(defun anvillm-queue-drop ()
  "Withdraw the prompt here."
  (interactive)
  (anvillm-queue--move "drop"))

(defun anvillm-queue-first ()
  "Put the prompt here first."
  (interactive)
  (anvillm-queue--move "first"))

(defun anvillm-queue-edit ()
  "Edit the prompt here."
  (interactive)
  (let ((number (anvillm-queue--here)) (id anvillm-buffer-session))
    (when (equal "mail" (cadr (assoc number anvillm-queue--waiting)))
      (user-error "A delivered message cannot be edited"))
    (let ((path (anvillm-queue--path number "prompt")))
      (anvillm-read path (anvillm-then "edit"
                                       (lambda (bytes)
                                         (anvillm-queue-edit-text id number path
                                                                  (decode-coding-string bytes 'utf-8
                                                                                        t))))))))

(defun anvillm-queue-edit-text (id number path text)
  "Edit TEXT, the prompt NUMBER that waits for session ID, which is at PATH."
  (anvillm-compose-open (format "*queued %s of %s*" number (anvillm-name id))
                        (format "Prompt %s in the queue of %s" number (anvillm-name id))
                        (format "queue-%s-%s" id number)
                        (lambda (text done)
                          (anvillm-write path text
                                         (lambda (_ err)
                                           (funcall done (and err (anvillm-sentence err))))))
                        text))

(defun anvillm-queue-show ()
  "Show the prompt here in another window."
  (interactive)
  (let ((number (anvillm-queue--here)))
    (anvillm-read (anvillm-queue--path number "prompt")
                  (anvillm-then "prompt" #'anvillm-queue--show))))

(defun anvillm-queue--show (bytes)
  "Show BYTES, a prompt."
  (with-current-buffer (get-buffer-create "*anvillm prompt*")
    (special-mode)
    (visual-line-mode)
    (anvillm-drawing ()
      (erase-buffer)
      (insert (anvillm-visible (decode-coding-string bytes 'utf-8 t)) "\n")
      (goto-char (point-min)))
    (display-buffer (current-buffer) '(nil (inhibit-same-window . t)))))

(provide 'anvillm-queue)
;;; anvillm-queue.el ends here
