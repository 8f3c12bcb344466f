;;; anvillm-extras.el --- AnviLLM with Consult and Org  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Optional: nothing else loads this file, and it loads neither package before it
;; is used.  With Consult, `anvillm-consult' chooses a session and shows its
;; conversation while one chooses; `anvillm-consult-setup' makes sessions a source
;; of `consult-buffer'.  With Org, after `anvillm-org-setup', links anvil:SESSION
;; lead to conversations and are stored there; `anvillm-org-capture' files an
;; answer.  Call both where Consult and Org are configured.

;;; Code:

(require 'anvillm)
(require 'anvillm-talk)

(declare-function consult--read "ext:consult" (table &rest options))
(declare-function consult--buffer-preview "ext:consult" ())
(declare-function org-link-set-parameters "ol" (type &rest parameters))
(declare-function org-link-store-props "ol" (&rest plist))
(declare-function org-capture "org-capture" (&optional goto keys))
(defvar consult-buffer-sources)

;;;; Consult

(defun anvillm-extras--names ()
  "Return the names of the sessions, the one that changed last first."
  (mapcar (lambda (s) (anvillm-name (anvillm-id s))) (anvillm-by-recency (anvillm-sessions))))

(defun anvillm-extras--id (name)
  "Return the id of the session called NAME, or nil."
  (anvillm-id (cl-find name (anvillm-sessions)
                       :key (lambda (s) (anvillm-name (anvillm-id s))) :test #'equal)))

(defun anvillm-extras--annotate (name)
  "Return what is to be said about the session called NAME."
  (let ((session (anvillm-session (anvillm-extras--id name))))
    (if (not session) ""
      (concat "  " (anvillm-state-text session) "  " (plist-get session :backend) "  "
              (abbreviate-file-name (or (plist-get session :cwd) "")) "  "
              (anvillm-note session)))))

(defun anvillm-extras--preview ()
  "Return a function to show the conversation of a candidate."
  (let ((show (consult--buffer-preview)))
    (lambda (action name)
      (let ((id (and name (anvillm-extras--id name))))
        (funcall show action (and id (eq action 'preview) (anvillm-conversation-buffer id)))))))

;;;###autoload
(defun anvillm-consult ()
  "Choose a session and show its conversation, also while choosing."
  (interactive)
  (unless (require 'consult nil t) (user-error "Consult is not installed"))
  (anvillm-await-sessions)
  (let ((name (consult--read (or (anvillm-extras--names) (user-error "There are no sessions"))
                             :prompt "Session: " :sort nil :require-match t
                             :category 'anvillm-session :annotate #'anvillm-extras--annotate
                             :state (anvillm-extras--preview))))
    (anvillm-conversation (anvillm-extras--id name))))

(defvar anvillm-consult-source
  (list :name "Agents" :narrow ?a :category 'anvillm-session
        :items #'anvillm-extras--names :annotate #'anvillm-extras--annotate
        :action (lambda (name) (anvillm-conversation (anvillm-extras--id name))))
  "Sessions as a source of `consult-buffer'.")

;;;###autoload
(defun anvillm-consult-setup ()
  "Let `consult-buffer' offer sessions too."
  (require 'consult)
  (add-to-list 'consult-buffer-sources 'anvillm-consult-source 'append))

;;;; Org

(defun anvillm-org-open (path &optional _)
  "Show the conversation that the link PATH leads to: ID, or ID::NAME."
  (pcase-let ((`(,id ,name) (split-string path "::")))
    (anvillm-await-sessions)
    (anvillm-conversation (or (and (anvillm-session id) id) (anvillm-extras--id (or name id))
                              (user-error "There is no session %s" (or name id))))))

(defun anvillm-org-store (&rest _)
  "Store a link to the session at hand, for `org-store-link'."
  (let ((id (anvillm-at-point)))
    (when id
      (org-link-store-props :type "anvil" :link (format "anvil:%s::%s" id (anvillm-name id))
                            :description (anvillm-name id)))))

(defun anvillm-org-complete (&rest _)
  "Return a link to a session that is asked for."
  (let ((id (anvillm-read-session "Session: ")))
    (format "anvil:%s::%s" id (anvillm-name id))))

;;;###autoload
(defun anvillm-org-setup ()
  "Let Org know links to sessions."
  (require 'ol)
  (org-link-set-parameters "anvil" :follow #'anvillm-org-open :store #'anvillm-org-store
                           :complete #'anvillm-org-complete))

;;;###autoload
(defun anvillm-org-capture (id)
  "File the last answer of the session ID with `org-capture'.
In a template %i is the answer and %a the link."
  (interactive (list (anvillm-current "Capture the answer of: ")))
  (require 'org-capture)
  (anvillm-org-setup)
  (let ((answer (anvillm-text (anvillm-await-read (concat id "/turns/last/out"))))
        (transient-mark-mode t))
    (with-current-buffer (anvillm-buffer-get id "*anvillm answer of %s*")
      (erase-buffer)
      (insert answer)
      (push-mark (point-min) t t)
      (org-capture))))

(provide 'anvillm-extras)
;;; anvillm-extras.el ends here
