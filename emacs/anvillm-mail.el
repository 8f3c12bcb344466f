;;; anvillm-mail.el --- Mail of agents and of the user  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A mailbox is the inbox or the archive of a session, or of the user.  The keys
;; are: RET shows, SPC shows and goes on, a files, e replies.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-rows)
(require 'anvillm-compose)

(defconst anvillm-mail-types
  '("PROMPT_REQUEST" "PROMPT_RESPONSE" "QUERY_REQUEST" "QUERY_RESPONSE" "REVIEW_REQUEST"
    "REVIEW_RESPONSE"
    "APPROVAL_REQUEST" "APPROVAL_RESPONSE" "LOG_ERROR")
  "The types of messages.")

(defvar-local anvillm-mail--owner nil "Whose mailbox this is: an id, or \"user\".")
(defvar-local anvillm-mail--box nil "Which box this is: inbox or archive.")
(defvar-local anvillm-mail--messages nil "The messages shown here, by id.")
(defvar-local anvillm-mail--message nil "The message shown here.")
(defvar-local anvillm-mail--loaded nil "Non-nil once the box has been read.")
(defvar-local anvillm-mail--reading nil "The reading of the box that is under way.")

(defun anvillm-mail-name (who)
  "Return how WHO, an id or \"user\", is called."
  (if (equal who "user") "user" (anvillm-name (or who "?"))))

;;;; The box

(defun anvillm-mail--line (id)
  "Return the row of the message ID."
  (let* ((m (gethash id anvillm-mail--messages)) (unread (equal anvillm-mail--box "inbox"))
         (line (concat "  "
                       (anvillm-rows-fit (propertize (anvillm-ago (plist-get m :timestamp)) 'face
                                                     'anvillm-id) 6)
                       " " (anvillm-rows-fit (propertize (anvillm-mail-name (plist-get m :from))
                                                         'face 'anvillm-name) 18)
                       " " (anvillm-rows-fit
                            (propertize (plist-get m :type) 'face
                                        (anvillm-mail--type-face (plist-get m :type))) 17)
                       " " (propertize (anvillm-mail--subject m) 'face
                                       (if unread 'anvillm-unread 'default))
                       "\n")))
    (put-text-property 0 (length line) 'tabulated-list-id id line)
    line))

(defun anvillm-mail--type-face (type)
  "Return the face for TYPE: what wants an answer stands out."
  (cond ((equal type "LOG_ERROR") 'anvillm-error)
        ((string-suffix-p "_REQUEST" type) 'anvillm-waiting)
        (t 'anvillm-off)))

(defun anvillm-mail--subject (m)
  "Return the subject of message M, or how its body begins."
  (let ((subject (or (plist-get m :subject) "")))
    (if (string-blank-p subject)
        (truncate-string-to-width (anvillm-one-line (or (plist-get m :body) "")) 80 nil nil "…")
      (anvillm-one-line subject))))

(defun anvillm-mail--path (&optional file)
  "Return the path of FILE, by default the box, of this mailbox's owner."
  (concat anvillm-mail--owner "/" (or file anvillm-mail--box)))

(defun anvillm-mail-refresh ()
  "Read this mailbox again."
  (interactive)
  (anvillm-conn)
  (anvillm-9p-cancel anvillm-mail--reading)
  (anvillm-rows-reading)
  (setq anvillm-mail--reading
        (anvillm-read (anvillm-mail--path) (anvillm-then "mail" #'anvillm-mail--take))))

(defun anvillm-mail--take (bytes)
  "Show the messages in BYTES, newest first."
  (let ((all (anvillm-json bytes)))
    (setq anvillm-mail--messages (make-hash-table :test #'equal) anvillm-mail--loaded t)
    (dolist (m all) (puthash (plist-get m :id) m anvillm-mail--messages))
    (anvillm-rows-draw (nreverse (mapcar (lambda (m) (plist-get m :id)) all))
                       #'anvillm-mail--line
                       (lambda () (insert (format "\n  Nothing in the %s of %s.\n" anvillm-mail--box
                                                  (anvillm-mail-name anvillm-mail--owner)))))
    (when (and (equal anvillm-mail--owner "user") (equal anvillm-mail--box "inbox"))
      (anvillm-set-user-unread (length all)))))

(defvar anvillm-mail-mode-map (anvillm-bindings-map 'mail special-mode-map)
  "Keys of a mailbox.")

(define-derived-mode anvillm-mail-mode tabulated-list-mode "AnviLLM-Mail"
  "A mailbox.

\\{anvillm-mail-mode-map}"
  :interactive nil
  (setq-local tabulated-list-format
              [("When" 6 nil) ("From" 18 nil) ("Type" 17 nil) ("Subject" 0 nil)]
              tabulated-list-padding 2
              revert-buffer-function (lambda (&rest _) (anvillm-mail-refresh))
              truncate-lines t
              anvillm-client t
              anvillm-current-function #'anvillm-mail--session)
  (add-hook 'anvillm-event-functions #'anvillm-mail--event)
  (add-hook 'anvillm-session-functions #'anvillm-mail--session-changed)
  (add-hook 'anvillm-link-hook #'anvillm-mail--link-changed)
  (anvillm-window-keeps-text)
  (hl-line-mode)
  (tabulated-list-init-header))

(defun anvillm-mail--session ()
  "Return the session that this mail is about: the owner, or who wrote it."
  (if (and anvillm-mail--owner (not (equal anvillm-mail--owner "user"))) anvillm-mail--owner
    (plist-get (ignore-errors (anvillm-mail--here)) :from)))

(defun anvillm-mail--boxes (predicate)
  "Refresh the mailboxes whose owner satisfies PREDICATE."
  (dolist (buffer (buffer-list))
    (when (eq (buffer-local-value 'major-mode buffer) 'anvillm-mail-mode)
      (with-current-buffer buffer
        (when (and (funcall predicate anvillm-mail--owner) (anvillm-9p-live-p anvillm-link-conn))
          (anvillm-mail-refresh))))))

(defun anvillm-mail--event (event)
  "Show the mail that EVENT has changed: of one session, or of all with some."
  (when (anvillm-event-changes-p event "mail")
    (let ((to (plist-get event :to)))
      (anvillm-mail--boxes (lambda (owner) (or (null to) (equal owner to)))))))

(defun anvillm-mail--session-changed (id)
  "The number of waiting messages of session ID may have changed."
  (when id
    (anvillm-mail--boxes
     (lambda (owner)
       (and (equal owner id) anvillm-mail--messages anvillm-mail--loaded
            (equal anvillm-mail--box "inbox")
            (not (eql (hash-table-count anvillm-mail--messages)
                      (if (equal id "user") anvillm-user-unread
                        (or (anvillm-get id :unread) 0)))))))))

(defun anvillm-mail--link-changed ()
  "Read the mailboxes again when the link is up again."
  (when (eq (anvillm-link-status) 'live) (anvillm-mail--boxes #'always)))

(defun anvillm-mail-open (owner box)
  "Show the BOX, inbox or archive, of OWNER, an id or \"user\"."
  (anvillm-conn) ; no empty buffer if there is none
  (let ((buffer (anvillm-buffer-get owner (concat "*anvillm " box " %s*"))))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-mail-mode)
        (anvillm-mail-mode)
        (setq anvillm-mail--messages (make-hash-table :test #'equal)))
      (setq anvillm-mail--owner owner anvillm-mail--box box)
      (anvillm-mail-refresh))
    (pop-to-buffer buffer)))

(defun anvillm-mail--read-owner (box)
  "Return whose BOX is meant: the session at hand, or one asked for."
  (or (anvillm-at-point)
      (progn
        (anvillm-await-sessions)
        (let* ((names (cons '("user" . "user")
                            (mapcar (lambda (s) (cons (anvillm-name (anvillm-id s)) (anvillm-id s)))
                                    (anvillm-sessions))))
               (name (completing-read (format-prompt "%s of" "user" (capitalize box)) names nil t
                                      nil nil "user")))
          (cdr (assoc name names))))))

;;;###autoload
(defun anvillm-inbox (owner)
  "Show the inbox of OWNER: the session at point, or one that you name.
With a prefix argument, of the user."
  (interactive (list (if current-prefix-arg "user" (anvillm-mail--read-owner "inbox"))))
  (anvillm-mail-open owner "inbox"))

;;;###autoload
(defun anvillm-archive (owner)
  "Show the archive of OWNER: the session at point, or one that you name.
With a prefix argument, of the user."
  (interactive (list (if current-prefix-arg "user" (anvillm-mail--read-owner "archive"))))
  (anvillm-mail-open owner "archive"))

;;;###autoload
(defun anvillm-user-inbox ()
  "Show the mail that waits for the user."
  (interactive)
  (anvillm-mail-open "user" "inbox"))

;;;; One message

(defun anvillm-mail--here ()
  "Return the message at point, or signal a `user-error'."
  (or anvillm-mail--message
      (gethash (tabulated-list-get-id) (or anvillm-mail--messages (make-hash-table)))
      (user-error "No message here")))

(defun anvillm-mail--draw (m owner box)
  "Return a buffer with the message M from the BOX of OWNER."
  (with-current-buffer (get-buffer-create "*anvillm message*")
    (anvillm-message-mode)
    (setq anvillm-mail--message m anvillm-mail--owner owner anvillm-mail--box box)
    (anvillm-drawing ()
      (erase-buffer)
      (pcase-dolist (`(,title . ,value)
                     `(("From" . ,(anvillm-mail-name (plist-get m :from)))
                       ("To" . ,(anvillm-mail-name (plist-get m :to)))
                       ("Type" . ,(plist-get m :type))
                       ("Date" . ,(format-time-string "%a %d %b %Y %H:%M:%S"
                                                      (plist-get m :timestamp)))
                       ("Subject" . ,(plist-get m :subject))))
        (insert (propertize (concat title ": ") 'face 'anvillm-heading) (or value "") "\n"))
      (cl-loop for (key value) on (plist-get m :metadata) by #'cddr
               do (insert (propertize (format "%s: " (capitalize (substring (symbol-name key) 1)))
                                      'face 'anvillm-id)
                          (if (stringp value) value (format "%s" value)) "\n"))
      (insert "\n" (or (plist-get m :body) "") "\n")
      (goto-char (point-min)))
    (current-buffer)))

(defvar anvillm-message-mode-map (anvillm-bindings-map 'message special-mode-map)
  "Keys of a message.")

(define-derived-mode anvillm-message-mode special-mode "AnviLLM-Message"
  "One message.

\\{anvillm-message-mode-map}"
  :interactive nil
  (setq anvillm-current-function (lambda () (plist-get anvillm-mail--message :from)))
  (anvillm-window-keeps-text)
  (visual-line-mode))

(defun anvillm-mail-show ()
  "Show the message here in another window."
  (interactive)
  (display-buffer (anvillm-mail--draw (anvillm-mail--here) anvillm-mail--owner anvillm-mail--box)
                  '(nil (inhibit-same-window . t))))

(defun anvillm-mail-scroll ()
  "Show the message here; if it is shown, scroll it; at its end go to the next."
  (interactive)
  (let* ((m (anvillm-mail--here)) (window (get-buffer-window "*anvillm message*")))
    (if (not (and window (eq m (buffer-local-value 'anvillm-mail--message (window-buffer window)))))
        (anvillm-mail-show)
      (condition-case nil
          (with-selected-window window (scroll-up))
        (end-of-buffer (forward-line)
                       (when (tabulated-list-get-id) (anvillm-mail-show)))))))

(defun anvillm-mail-complete ()
  "File the message here; a delivery that has not happened does not happen."
  (interactive)
  (let ((m (anvillm-mail--here)) (view (derived-mode-p 'anvillm-message-mode)))
    (unless (equal anvillm-mail--box "inbox") (user-error "It is already archived"))
    (anvillm-write (anvillm-mail--path "ctl") (format "complete %s\n" (plist-get m :id))
                   (anvillm-then "file" (lambda (_)
                                          (message "Archived: %s" (anvillm-mail--subject m))
                                          (anvillm-mail--boxes
                                           (lambda (o) (equal o (plist-get m :to))))
                                          (anvillm-sync-soon))))
    (if view (quit-window) (forward-line))))

(defun anvillm-mail-other-box ()
  "Go from the inbox to the archive, or back."
  (interactive)
  (anvillm-mail-open anvillm-mail--owner (if (equal anvillm-mail--box "inbox") "archive" "inbox")))

(defun anvillm-mail-copy-id ()
  "Copy the id of the message here."
  (interactive)
  (let ((id (plist-get (anvillm-mail--here) :id)))
    (kill-new id)
    (message "%s" id)))

(declare-function anvillm-conversation "anvillm-talk" (id))

(defun anvillm-mail-conversation ()
  "Show the conversation of who wrote the message here."
  (interactive)
  (let ((from (plist-get (anvillm-mail--here) :from)))
    (unless (anvillm-session from) (user-error "%s is not a session" (anvillm-mail-name from)))
    (anvillm-conversation from)))

;;;; Writing

(defun anvillm-mail--reply-type (m)
  "Return the type of an answer to message M, from the daemon."
  (or (plist-get m :reply_type)
      (user-error "The daemon is older than this: restart it, then reply")))

(defun anvillm-mail--parse (text)
  "Return TEXT, a message as it is written here, as an alist; check it."
  (unless (string-match "^--text follows this line--\n" text)
    (user-error "The line between header and text is missing"))
  (let ((head (substring text 0 (match-beginning 0))) (body (substring text (match-end 0)))
        (fields nil))
    (dolist (line (split-string head "\n" t))
      (unless (string-match "\\`\\([^: ]+\\): *\\(.*?\\) *\\'" line)
        (user-error "Not a header: %s" line))
      (push (cons (downcase (match-string 1 line)) (match-string 2 line)) fields))
    (let ((to (cdr (assoc "to" fields))) (type (cdr (assoc "type" fields))))
      (when (member to '(nil "")) (user-error "To whom?"))
      (unless (member type anvillm-mail-types)
        (user-error "Type is one of: %s" (string-join anvillm-mail-types " ")))
      (list (cons "to" to) (cons "type" type)
            (cons "subject" (or (cdr (assoc "subject" fields)) ""))
            (cons "body" (string-remove-suffix "\n" body))))))

(defun anvillm-mail--write (from to type subject body &optional metadata draft)
  "Open a message FROM one session or user TO another.
It is of TYPE, with SUBJECT and BODY; METADATA, an alist, is sent with it.
DRAFT is the name of its draft."
  (with-current-buffer
      (anvillm-compose-open
       (format "*mail to %s*" (if (string-empty-p to) "somebody" (anvillm-mail-name to)))
       (format "Mail from %s" (anvillm-mail-name from)) (or draft (concat "mail-" to))
       (lambda (text done)
         (let ((fields (append (anvillm-mail--parse text)
                               (and metadata `(("metadata" . ,metadata))))))
           (anvillm-write (concat from "/mail") (encode-coding-string (json-encode fields) 'utf-8)
                          (lambda (_ err) (funcall done (and err (anvillm-sentence err)))))))
       (format "To: %s\nType: %s\nSubject: %s\n--text follows this line--\n%s"
               (if (string-empty-p to) "" (anvillm-mail-name to)) type subject body))
    (add-hook 'completion-at-point-functions #'anvillm-mail--complete-header nil t)
    (local-set-key (kbd "TAB") #'completion-at-point)
    (goto-char (point-min))
    (if (string-empty-p to) (end-of-line)
      (re-search-forward "^--text follows this line--\n" nil t))))

(defun anvillm-mail--complete-header ()
  "Complete the addressee or the type at point."
  (save-excursion
    (let ((end (point)))
      (beginning-of-line)
      (cond ((looking-at "To: *") (list (match-end 0) (max end (match-end 0))
                                        (anvillm-session-table
                                         (cons '("user")
                                               (mapcar (lambda (s)
                                                         (cons (anvillm-name (anvillm-id s))
                                                               (anvillm-id s)))
                                                       (anvillm-sessions))))))
            ((looking-at "Type: *") (list (match-end 0) (max end (match-end 0))
                                          anvillm-mail-types))))))

;;;###autoload
(defun anvillm-mail-compose (&optional to)
  "Write a message TO the session at hand, or to one named in the buffer."
  (interactive (list (anvillm-at-point)))
  (anvillm-conn)
  (anvillm-mail--write "user" (or to "") "PROMPT_REQUEST" "" ""))

(defun anvillm-mail--reply-subject (m)
  "Return the subject of a reply to message M."
  (let ((subject (or (plist-get m :subject) "")))
    (if (or (string-empty-p subject) (string-match-p "\\`[Rr]e:" subject)) subject
      (concat "Re: " subject))))

(defun anvillm-mail-reply ()
  "Reply to the message here, with the type that answers its type."
  (interactive)
  (let ((m (anvillm-mail--here)))
    (anvillm-mail--write
     anvillm-mail--owner (plist-get m :from) (anvillm-mail--reply-type m)
     (anvillm-mail--reply-subject m)
     (concat "\n\n"
             (replace-regexp-in-string "^" "> " (string-trim-right (or (plist-get m :body) "")))
             "\n")
     `(("in_reply_to" . ,(plist-get m :id))) (concat "reply-" (plist-get m :id)))))

(defun anvillm-mail-choose ()
  "Answer the message here with one of its choices."
  (interactive)
  (let* ((m (anvillm-mail--here)) (type (plist-get m :type))
         (choices (or (plist-get (plist-get m :metadata) :choices)
                      (and (equal type "APPROVAL_REQUEST") '("approved" "denied"))
                      (user-error "%s" (substitute-command-keys
                                        (concat "This message offers no choices; "
                                                "\\[anvillm-mail-reply] replies")))))
         (choice (completing-read "Answer: " choices nil t)))
    (anvillm-write (anvillm-mail--path "mail")
                   (encode-coding-string
                    (json-encode
                     `(("to" . ,(plist-get m :from)) ("type" . ,(anvillm-mail--reply-type m))
                       ("subject" . ,(anvillm-mail--reply-subject m)) ("body" . ,choice)
                       ("metadata" . (("in_reply_to" . ,(plist-get m :id))))))
                    'utf-8)
                   (anvillm-then "answer"
                                 (lambda (_) (message "Answered: %s" choice)
                                   (anvillm-mail-complete))))))

(provide 'anvillm-mail)
;;; anvillm-mail.el ends here
