;;; anvillm-live.el --- Being told: mode line and notifications  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Two global minor modes, both off until you turn them on.  One shows in every
;; mode line how many agents wait, have answered or failed, and how much mail
;; there is.  The other tells you when it happens.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)

(declare-function dbus-call-method-asynchronously "dbus"
                  (bus service path interface method handler &rest args))


;;;; Mode line

(defvar anvillm-mode-line-string "" "What the mode line shows.")
(put 'anvillm-mode-line-string 'risky-local-variable t)

(defun anvillm-live--part (count sign face help command)
  "Return COUNT behind SIGN in FACE, or nothing for none.
HELP tells what it is; a click calls COMMAND."
  (if (= count 0) ""
    (propertize (format "%s%d" sign count) 'face face 'mouse-face 'mode-line-highlight 'help-echo
                help
                'local-map (let ((map (make-sparse-keymap)))
                             (define-key map [mode-line mouse-1] command)
                             map))))

(defun anvillm-live--update (&rest _)
  "Bring the mode line up to date."
  (let ((counts (list 0 0 0)) old)
    (dolist (s (anvillm-sessions))
      (pcase (anvillm-needs s)
        ('ask (cl-incf (nth 0 counts)))
        ('error (cl-incf (nth 1 counts)))
        ('fresh (cl-incf (nth 2 counts)))))
    (setq old anvillm-mode-line-string
          anvillm-mode-line-string
          (let ((text (concat (anvillm-live--part (nth 0 counts) "?" 'anvillm-asks
                                                  "Agents that wait for your answer"
                                                  #'anvillm-next-needing)
                              (anvillm-live--part (nth 1 counts) "!" 'anvillm-alarm
                                                  "Agents with an error" #'anvillm-next-needing)
                              (anvillm-live--part (nth 2 counts) "*" 'bold
                                                  "Agents that have answered"
                                                  #'anvillm-next-needing)
                              (anvillm-live--part anvillm-user-unread "@" 'bold
                                                  "Mail for you" #'anvillm-user-inbox))))
            (cond ((anvillm-link-text)
                   (concat " "
                           (propertize "A-" 'help-echo
                                       (concat "AnviLLM: " (anvillm-link-text)))))
                  ((string-empty-p text) "")
                  (t (concat " A" text)))))
    (unless (equal old anvillm-mode-line-string) (force-mode-line-update t))))

;;;###autoload
(define-minor-mode anvillm-mode-line-mode
  "Show in the mode line which agents need you: ?waiting !error *answered @mail."
  :global t
  :group 'anvillm
  (cond (anvillm-mode-line-mode
         (cl-pushnew 'mode-line anvillm-wanted)
         (unless (memq 'anvillm-mode-line-string global-mode-string)
           (setq global-mode-string
                 (append (or global-mode-string '("")) '(anvillm-mode-line-string))))
         (add-hook 'anvillm-session-functions #'anvillm-live--update)
         (add-hook 'anvillm-link-hook #'anvillm-live--update)
         (anvillm-connect-later)
         (anvillm-live--update))
        (t
         (setq anvillm-wanted (delq 'mode-line anvillm-wanted)
               global-mode-string (delq 'anvillm-mode-line-string global-mode-string))
         (remove-hook 'anvillm-session-functions #'anvillm-live--update)
         (remove-hook 'anvillm-link-hook #'anvillm-live--update))))

;;;; Notifications

(defcustom anvillm-notify-about '(ask error response mail)
  "What is worth a notification."
  :type '(set (const :tag "A question" ask) (const :tag "An error" error)
              (const :tag "A finished turn" response) (const :tag "Mail for you" mail))
  :group 'anvillm)

(defcustom anvillm-notify-function #'anvillm-notify
  "Function that tells the user TITLE and BODY of something about session ID."
  :type 'function
  :group 'anvillm)

(defcustom anvillm-notify-when-visible nil
  "Non-nil to be told also about a session whose conversation is on the screen."
  :type 'boolean
  :group 'anvillm)

(defun anvillm-notify (title body _id)
  "Tell the user TITLE and BODY, on the desktop if there is one, else below.
The call over D-Bus does not wait for an answer."
  (message "%s%s" (propertize title 'face 'anvillm-name)
           (if (string-empty-p body) "" (concat ": " body)))
  (when (and (featurep 'dbusbind) (getenv "DBUS_SESSION_BUS_ADDRESS"))
    (ignore-errors
      (require 'dbus)
      (dbus-call-method-asynchronously
       :session "org.freedesktop.Notifications" "/org/freedesktop/Notifications"
       "org.freedesktop.Notifications"
       "Notify" nil
       "Emacs" :uint32 0 "emacs" title (anvillm-live--markup body) '(:array)
       '(:array :signature "{sv}") :int32 -1))))

(defun anvillm-live--markup (text)
  "Return TEXT as the body of a notification, which is markup."
  (string-replace ">" "&gt;" (string-replace "<" "&lt;" (string-replace "&" "&amp;" text))))

(defun anvillm-live--visible-p (id)
  "Return non-nil if the conversation of session ID is in the selected window."
  (with-current-buffer (window-buffer)
    (and (derived-mode-p 'anvillm-log-mode) (equal anvillm-buffer-session id))))

(defun anvillm-live--tell (what id title body)
  "Tell the user TITLE and BODY about session ID if WHAT is worth it."
  (when (and (memq what anvillm-notify-about)
             (or anvillm-notify-when-visible (not (anvillm-live--visible-p id))))
    (funcall anvillm-notify-function title
             (truncate-string-to-width (anvillm-one-line body) 160 nil nil "…") id)))

(defun anvillm-live--event (event)
  "Tell the user of EVENT if it is worth it."
  (let* ((id (plist-get event :session_id)) (name (if id (anvillm-name id) "AnviLLM")))
    (pcase (plist-get event :type)
      ("ask" (when (and (plist-get event :ask) (not (plist-get event :over)))
               (anvillm-live--tell 'ask id (concat name " asks")
                                   (or (plist-get (plist-get event :ask) :text) ""))))
      ("error" (anvillm-live--tell 'error id (concat name ": error") (anvillm-event-text event)))
      ("state_change" (when (equal (plist-get event :state) "error")
                        (anvillm-live--tell 'error id (concat name ": error")
                                            (or (plist-get event :error) ""))))
      ("response" (anvillm-live--tell 'response id (concat name " has answered") ""))
      ("message" (when (equal (plist-get event :to) "user")
                   (anvillm-live--tell 'mail (plist-get event :from)
                                       (format "Mail from %s"
                                               (anvillm-name (or (plist-get event :from) "?")))
                                       (or (plist-get event :subject) "")))))))

;;;###autoload
(define-minor-mode anvillm-notify-mode
  "Be told when an agent asks, answers or fails, and when there is mail."
  :global t
  :group 'anvillm
  (cond (anvillm-notify-mode
         (cl-pushnew 'notify anvillm-wanted)
         (add-hook 'anvillm-event-functions #'anvillm-live--event)
         (anvillm-connect-later))
        (t
         (setq anvillm-wanted (delq 'notify anvillm-wanted))
         (remove-hook 'anvillm-event-functions #'anvillm-live--event))))

(provide 'anvillm-live)
;;; anvillm-live.el ends here
