;;; anvillm-link.el --- The link to the daemon  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; One connection serves every buffer.  Over it runs one stream of events; what
;; is known of the sessions is changed as they come, and buffers hear of it by
;; hooks.  When the connection is lost the knowledge stays, marked stale, and the
;; link comes up again by itself: at once when the socket appears (file
;; notification), and by growing pauses where that cannot be watched.  There is
;; no periodic timer.

;;; Code:

(require 'anvillm-core)
(require 'anvillm-9p)

(declare-function file-notify-add-watch "filenotify" (file flags callback))
(declare-function file-notify-rm-watch "filenotify" (descriptor))

;;;; The connection

(defvar anvillm-link-conn nil "The connection to the daemon.")
(defvar anvillm--events-op nil "The stream of events.")
(defvar anvillm--events-rest "" "The beginning of an event's line, in bytes.")
(defvar anvillm--seq nil "The number of the last event.")
(defvar anvillm--pause 0.1 "The next pause before connecting again, in seconds.")
(defvar anvillm--again nil "The timer that connects again.")
(defvar anvillm--watch nil "The watch on the namespace directory.")
(defvar anvillm-link-socket nil "The socket that `anvillm-link-conn' was made for.")

(defvar-local anvillm-client nil "Non-nil in a buffer that wants the link up.")
(defvar anvillm-wanted nil "Features, other than buffers, that want the link up.")

(defun anvillm--wanted-p ()
  "Return non-nil if anybody wants the link up."
  (or anvillm-wanted
      (cl-some (lambda (b) (buffer-local-value 'anvillm-client b)) (buffer-list))))

(defun anvillm--set-status (status &optional why)
  "Set the link's state to STATUS, because of WHY, and tell those who care."
  (unless (and (eq status anvillm-link-state) (equal why anvillm-link-why))
    (setq anvillm-link-state status anvillm-link-why why)
    (run-hooks 'anvillm-link-hook)
    (force-mode-line-update t)))

(defun anvillm-connect ()
  "Bring the link up if it is not; return the connection.
Signal `anvillm-9p-lost' if no daemon listens; it is tried again later."
  (when (and (anvillm-9p-live-p anvillm-link-conn)
             (not (equal anvillm-link-socket (anvillm-socket))))
    (anvillm-disconnect))
  (unless (anvillm-9p-live-p anvillm-link-conn)
    (anvillm--stop-waiting)
    (unless (eq anvillm-link-state 'lost) (anvillm--set-status 'connecting))
    (condition-case err
        (let ((socket (anvillm-socket)))
          (unless (equal socket anvillm-link-socket)
            (anvillm--forget-all))
          (setq anvillm-link-conn (anvillm-9p-connect socket #'anvillm--up #'anvillm--down)
                anvillm-link-socket socket)
          (anvillm--follow) ; reads `sessions' when it hears of every change after that
          (anvillm-read-backends))
      (anvillm-error
       (setq anvillm-link-conn nil)
       (anvillm--set-status 'lost err)
       (anvillm--wait)
       (signal (car err) (cdr err)))))
  anvillm-link-conn)

(defvar anvillm-backends nil "Rows (NAME TITLE STATUS) of the file `backends'.")

(defun anvillm-read-backends (&optional done)
  "Read the backends in the background, then call DONE."
  (anvillm-9p-read anvillm-link-conn "backends"
                   (lambda (bytes _)
                     (when bytes
                       (setq anvillm-backends
                             (mapcar (lambda (line) (split-string line "\t"))
                                     (split-string (anvillm-text bytes) "\n" t))))
                     (when done (funcall done))
                     (run-hooks 'anvillm-arrival-hook))))

(defun anvillm--forget-all ()
  "Forget all that is known of the daemon."
  (clrhash anvillm-known-sessions)
  (clrhash anvillm-fresh-ids)
  (setq anvillm-order nil anvillm--seq nil anvillm-errors nil anvillm-user-unread 0)
  (run-hook-with-args 'anvillm-session-functions nil))

(defun anvillm-disconnect ()
  "End the connection to the daemon and do not connect again by itself."
  (interactive)
  (anvillm--stop-waiting)
  (when anvillm--sync-timer (cancel-timer (cl-shiftf anvillm--sync-timer nil)))
  (when anvillm-link-conn
    (anvillm-9p-close anvillm-link-conn)
    (setq anvillm-link-conn nil anvillm--events-op nil))
  (anvillm--set-status 'off))

(defun anvillm--up (_conn)
  "The handshake is done."
  (setq anvillm--pause 0.1))

(defun anvillm--down (conn why)
  "CONN has ended because of WHY."
  (when (eq conn anvillm-link-conn)
    (setq anvillm-link-conn nil anvillm--events-op nil)
    (anvillm--set-status 'lost why)
    (anvillm--wait)))

(defun anvillm--wait ()
  "Wait for the daemon to come back, if anybody cares."
  (anvillm--stop-waiting)
  (when (anvillm--wanted-p)
    (anvillm--watch-socket)
    (setq anvillm--again (run-at-time anvillm--pause nil #'anvillm--retry)
          anvillm--pause (min anvillm-longest-pause (* 2 anvillm--pause)))))

(defun anvillm--watch-socket ()
  "Connect as soon as the socket appears, where that can be watched."
  (ignore-errors
    (require 'filenotify)
    (setq anvillm--watch
          (file-notify-add-watch
           (anvillm-namespace) '(change)
           (lambda (event)
             (when (and (memq (nth 1 event) '(created renamed))
                        (member (anvillm-socket)
                                (mapcar (lambda (f) (and (stringp f) (expand-file-name f)))
                                        (nthcdr 2 event))))
               ;; Made by bind, but not listening yet, for a moment.
               (run-at-time 0.01 nil #'anvillm--retry)))))))

(defun anvillm--stop-waiting ()
  "Stop waiting for the daemon."
  (when anvillm--again (cancel-timer (cl-shiftf anvillm--again nil)))
  (when anvillm--watch (ignore-errors (file-notify-rm-watch (cl-shiftf anvillm--watch nil)))))

(defun anvillm--retry ()
  "Try to connect again."
  (unless (anvillm-9p-live-p anvillm-link-conn)
    (anvillm-connect-later)))

(defun anvillm-connect-later ()
  "Bring the link up, now or when there is a daemon."
  (condition-case nil
      (anvillm-connect)
    (anvillm-error nil)))

(defun anvillm-conn ()
  "Return the connection, made if need be, or signal a `user-error'."
  (condition-case err
      (anvillm-connect)
    (anvillm-9p-lost (user-error "No daemon at %s (%s); M-x anvillm-daemon-start starts it"
                                 (abbreviate-file-name (anvillm-socket)) (nth 2 err)))))

;;;; Events

(defun anvillm--follow ()
  "Follow the events, from where they were left."
  (setq anvillm--events-rest "")
  (let ((conn anvillm-link-conn))
    (setq anvillm--events-op
          (anvillm-9p-stream
           conn (if anvillm--seq (format "events.%d" anvillm--seq) "events")
           #'anvillm--events-came
           (lambda (err)
             (when (and (eq conn anvillm-link-conn) (eq (car err) 'anvillm-9p-error))
               (message "AnviLLM: no events: %s" (anvillm-sentence err))
               (anvillm-sync)))
           0 #'anvillm-sync))))

(defun anvillm--events-came (bytes)
  "Act on the whole lines in BYTES."
  (let* ((all (concat anvillm--events-rest bytes)) (start 0) end)
    (while (setq end (string-search "\n" all start))
      (let ((line (substring all start end)))
        (setq start (1+ end))
        (anvillm-work-guard (lambda () (anvillm--event (anvillm-json line))) nil)))
    (setq anvillm--events-rest (substring all start))))

(defun anvillm--event (event)
  "Act on EVENT."
  (when (plist-get event :seq)
    (setq anvillm--seq (plist-get event :seq)))
  (let ((id (plist-get event :session_id)))
    (pcase (plist-get event :type)
      ("session_new" (anvillm--patch id
                                     (list :backend (plist-get event :backend)
                                           :cwd (plist-get event :cwd)
                                           :alias (plist-get event :alias)
                                           :state (or (plist-get event :state) "starting"))
                                     t))
      ("state_change" (anvillm--state-changed id event))
      ("ask" (anvillm--patch id (list :ask (plist-get event :ask) :asks (plist-get event :asks))))
      ("error" (push event anvillm-errors)
       (when (nthcdr 50 anvillm-errors) (setcdr (nthcdr 49 anvillm-errors) nil))
       (anvillm--patch id (list :error (anvillm-event-text event))))
      ("response" (when (anvillm-session id) (puthash id t anvillm-fresh-ids)
                        (anvillm--patch id nil)))
      ("message" (anvillm--patch id (list :unread (1+ (or (anvillm-get id :unread) 0)))))
      ("session_update" (anvillm--patch id (anvillm--updated event)))
      ("session_end" (anvillm--forget id))))
  (run-hook-wrapped 'anvillm-event-functions
                    (lambda (f) (anvillm-work-guard f (list event)) nil))
  (when (anvillm-event-changes-p event "sessions")
    (anvillm-sync-soon)))

(defun anvillm-event-changes-p (event what)
  "Return non-nil if WHAT is to be read again after EVENT.
WHAT is \"sessions\", \"mail\" or \"beads\"."
  (member what (plist-get event :changes)))

(defun anvillm-event-text (event)
  "Return the words of EVENT."
  (or (plist-get event :error) (plist-get event :text) (plist-get event :message)
      (plist-get event :reason) ""))

(defun anvillm--state-changed (id event)
  "Session ID has changed its state by EVENT."
  (let* ((state (plist-get event :state)) (at (plist-get event :ts))
         (new (list :changed at :since at :doing ""))) ; of the state before
    (unless (equal state "exited")
      (dolist (key '(:state :alias :backend))
        (when (plist-member event key) (setq new (plist-put new key (plist-get event key)))))
      (unless (member state '("running" "idle")) (setq new (append (list :ask nil :asks nil) new)))
      (setq new (plist-put new :error (plist-get event :error)))
      (anvillm--patch id new))))

(defvar anvillm--touched nil
  "Ids of sessions changed by events since the last reading of `sessions' began.")

(defun anvillm--patch (id new &optional make)
  "Put the properties NEW on the session ID; MAKE it if it is not known."
  (let ((session (anvillm-session id)))
    (when (and id (or session make))
      (unless session
        (setq session (list :id id :created (float-time))
              anvillm-order (append anvillm-order (list id))))
      (setq session (copy-sequence session))
      (while new (setq session (plist-put session (pop new) (pop new))))
      (puthash id session anvillm-known-sessions)
      (cl-pushnew id anvillm--touched :test #'equal)
      (run-hook-with-args 'anvillm-session-functions id))))

(defun anvillm--forget (id)
  "The session ID is gone."
  (remhash id anvillm-known-sessions)
  (remhash id anvillm-fresh-ids)
  (cl-pushnew id anvillm--touched :test #'equal)
  (setq anvillm-order (delete id anvillm-order))
  (run-hook-with-args 'anvillm-session-functions id))

(defun anvillm-seen (id)
  "Tell that the user has looked at the conversation of session ID."
  (let* ((session (anvillm-session id)) (answered (plist-get session :answered)))
    (when (and session (anvillm-fresh-p session))
      (remhash id anvillm-fresh-ids)
      (when (and answered (> answered (or (plist-get session :seen) 0))
                 (anvillm-9p-live-p anvillm-link-conn))
        (anvillm-9p-write anvillm-link-conn (concat id "/seen") (format "%d\n" answered) #'ignore))
      (anvillm--patch id (append (and (equal "done" (plist-get session :needs)) '(:needs ""))
                                 (and answered (list :seen answered)))))))

(defun anvillm--updated (event)
  "Return the new values of a session in EVENT, a `session_update'."
  (cl-loop for (key value) on event by #'cddr
           unless (memq key '(:seq :ts :type :session_id :changes)) append (list key value)))

;;;; All of it

(defvar anvillm--sync-op nil "The reading of `sessions' that is under way.")
(defvar anvillm--sync-timer nil "The timer that will start one.")
(defvar anvillm--sync-again nil
  "Non-nil if something changed that the reading under way may not tell.")
(defvar anvillm--sync-cost 0 "How long taking in the last one took, in seconds.")
(defvar anvillm-arrival-hook nil "Run when `sessions' or `backends' was read.")

(defun anvillm-sync-soon ()
  "Read `sessions' soon, for what events do not tell.
The more it costs the longer the pause, so that it never takes up Emacs."
  (unless (or anvillm--sync-timer (not (anvillm-9p-live-p anvillm-link-conn)))
    (setq anvillm--sync-timer
          (run-at-time (min 5 (max 0.15 (* 10 anvillm--sync-cost))) nil
                       (lambda () (setq anvillm--sync-timer nil) (anvillm-sync))))))

(defun anvillm-sync ()
  "Read `sessions' now, in the background.
While it is being read, do so once more afterwards."
  (setq anvillm--sync-again (anvillm--syncing-p))
  (when (and (anvillm-9p-live-p anvillm-link-conn) (not anvillm--sync-again))
    (setq anvillm--touched nil)
    (let* ((conn anvillm-link-conn)
           (patience (run-at-time 2 nil
                                  (lambda ()
                                    (when (eq conn anvillm-link-conn)
                                      (anvillm--set-status 'silent))))))
      (setq anvillm--sync-op
            (anvillm-9p-read conn "sessions"
                             (lambda (bytes err)
                               (cancel-timer patience)
                               (setq anvillm--sync-op nil)
                               (when (and bytes (eq conn anvillm-link-conn))
                                 (anvillm--set-status 'live)
                                 (anvillm--take bytes))
                               (when (eq (car err) 'anvillm-9p-error)
                                 (message "AnviLLM: %s" (anvillm-sentence err)))))))
    (anvillm-9p-read anvillm-link-conn "user/inbox"
                     (lambda (bytes _)
                       (when bytes (anvillm-set-user-unread (length (anvillm-json bytes))))))))

(defun anvillm--syncing-p ()
  "Return non-nil while `sessions' is being read."
  (and anvillm--sync-op (not (anvillm-9p-op-done-p anvillm--sync-op))))

(defun anvillm-set-user-unread (count)
  "Note that COUNT messages wait for the user."
  (unless (eql count anvillm-user-unread)
    (setq anvillm-user-unread count)
    (run-hook-with-args 'anvillm-session-functions "user")))

(defun anvillm--take (bytes)
  "Take in BYTES, the content of `sessions'."
  (let ((start (float-time)) (all (anvillm-json bytes)) (touched anvillm--touched)
        (known (make-hash-table :test #'equal))
        changed moved)
    (dolist (new all)
      (let* ((id (plist-get new :id)) (old (gethash id anvillm-known-sessions)))
        (puthash id t known)
        ;; An event that came meanwhile knows better; it is read again below.
        (unless (or (equal new old) (and (member id touched)))
          (unless old (setq moved t))
          (puthash id new anvillm-known-sessions)
          (push id changed))))
    (maphash (lambda (id _)
               (unless (or (gethash id known) (member id touched))
                 (remhash id anvillm-known-sessions)
                 (remhash id anvillm-fresh-ids)
                 (setq moved t)))
             anvillm-known-sessions)
    (let ((order (cl-remove-if-not #'anvillm-session (mapcar (lambda (s) (plist-get s :id)) all))))
      (dolist (id anvillm-order)
        (when (and (not (gethash id known)) (anvillm-session id))
          (setq order (append order (list id)))))
      (unless (equal order anvillm-order) (setq anvillm-order order moved t)))
    (if (or moved (nthcdr 20 changed))
        (run-hook-with-args 'anvillm-session-functions nil)
      (dolist (id changed) (run-hook-with-args 'anvillm-session-functions id)))
    (setq anvillm--sync-cost (- (float-time) start))
    (when (or touched anvillm--sync-again) (anvillm-sync-soon))
    (run-hooks 'anvillm-arrival-hook)))

;;;; Reading and writing files of the tree

(defun anvillm-here (function)
  "Return FUNCTION to be called in the present buffer, if it still lives."
  (let ((buffer (current-buffer)))
    (lambda (&rest args)
      (when (buffer-live-p buffer)
        (with-current-buffer buffer (apply function args))))))

(defun anvillm-then (what function)
  "Return a callback that gives the result to FUNCTION, in this buffer.
An error is shown behind WHAT instead."
  (let ((buffer (current-buffer)))
    (lambda (result err)
      (cond (err (message "%s: %s" what (propertize (anvillm-sentence err) 'face 'anvillm-error)))
            ((not function))
            ((buffer-live-p buffer) (with-current-buffer buffer (funcall function result)))))))

(defun anvillm-read (path callback)
  "Read the file PATH of the daemon in the background for CALLBACK.
See `anvillm-9p-read'."
  (anvillm-9p-read (anvillm-conn) path callback))

(defun anvillm-write (path data callback)
  "Write DATA to the file PATH of the daemon in the background.
See `anvillm-9p-write' for CALLBACK."
  (anvillm-9p-write (anvillm-conn) path data callback))

(defun anvillm-create (path data callback)
  "Make the file PATH of the daemon with DATA, in the background.
See `anvillm-9p-create' for CALLBACK."
  (anvillm-9p-create (anvillm-conn) path data callback))

(provide 'anvillm-link)
;;; anvillm-link.el ends here
