;;; anvillm-session.el --- Commands on sessions  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The commands that work on a session wherever one is at hand: on the row of
;; the list, in its conversation, in its mail, or asked for with completion.
;; They share one keymap, so every key means the same in every buffer.

;;; Code:

(require 'anvillm-bindings)
(require 'anvillm-buffer)
(require 'anvillm-link)
(require 'anvillm-wait)

(declare-function anvillm-proposals-of "anvillm-proposal" (id))
(declare-function anvillm-proposal-file "anvillm-proposal" (proposal))

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

(defun anvillm-state-text (session)
  "Return the word for SESSION's state, with its face."
  (let ((state (or (plist-get session :state) "?")))
    (cond ((plist-get session :ask) (propertize "asks" 'face 'anvillm-asks))
          (t (propertize state 'face (pcase state
                                       ("idle" 'anvillm-idle)
                                       ("running" 'anvillm-running)
                                       ("error" 'anvillm-error)
                                       (_ 'anvillm-off)))))))

(defun anvillm-tokens (session)
  "Return how many tokens SESSION has used, in few characters."
  (let* ((usage (plist-get session :usage))
         (n (+ (or (plist-get usage :input) 0) (or (plist-get usage :output) 0))))
    (cond ((= n 0) "")
          ((< n 1000) (format "%d" n))
          ((< n 1000000) (format "%dk" (/ n 1000)))
          (t (format "%.1fM" (/ n 1000000.0))))))

(defun anvillm-ask-text (session)
  "Return what SESSION asks, in one line."
  (let ((asks (anvillm-asks session)))
    (propertize (concat (if (cdr asks) (format "(%d) " (length asks)) "")
                        (mapconcat (lambda (ask) (anvillm-one-line (or (plist-get ask :text) "")))
                                   asks "; "))
                'face 'anvillm-waiting)))

(defun anvillm-asks (session)
  "Return the questions that SESSION has open, oldest first."
  (or (append (plist-get session :asks) nil)
      (and (plist-get session :ask) (list (plist-get session :ask)))))

(defun anvillm-note--shown (note session)
  "Return how NOTE, a word of the daemon about SESSION, is shown, or nil."
  (pcase note
    ("ask" (anvillm-ask-text session))
    ("nosandbox" (propertize "NO SANDBOX" 'face 'anvillm-error))
    ("weak" (propertize "weak sandbox" 'face 'anvillm-error))
    ;; An event may have taken away what the note is about.
    ("held" (let ((held (plist-get session :held)))
              (and held (concat "held: " (anvillm-one-line held)))))
    ("error" (let ((error (plist-get session :error)))
               (and error (propertize (anvillm-one-line error) 'face 'anvillm-error))))
    ((or "mail" "queued") nil) ; columns of their own
    (_ note)))

(defvar anvillm-proposals)

(defun anvillm-proposed (id)
  "Return which files the session ID proposes to edit, in a few words, or nil."
  (when (and (bound-and-true-p anvillm-proposals) (fboundp 'anvillm-proposals-of))
    (let ((all (anvillm-proposals-of id)))
      (and all (concat (anvillm-one-line
                        (anvillm-visible
                         (file-name-nondirectory (anvillm-proposal-file (car all)))))
                       (if (cdr all) (format " and %d more" (length (cdr all))) ""))))))

(defun anvillm-note (session)
  "Return what is to be said about SESSION in one line.
Which notes there are, and in which order, the daemon tells."
  (let* ((notes (plist-get session :notes))
         (said (delq nil (mapcar (lambda (note) (anvillm-note--shown note session)) notes)))
         (proposed (anvillm-proposed (anvillm-id session))))
    (when proposed (push (propertize (concat "proposes " proposed) 'face 'anvillm-waiting) said))
    (unless (cl-intersection notes '("ask" "held" "error") :test #'equal)
      (let ((role (plist-get session :role)) (parent (plist-get session :parent))
            (branch (plist-get session :branch)))
        (setq said
              (append said
                      (and branch (not (equal branch "")) (list (concat "branch " branch)))
                      (and role (not (member role '("" "default"))) (list (concat "role " role)))
                      (and parent (list (concat "of " (anvillm-name parent))))))))
    (string-join said ", ")))

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
  "Show the conversation of the session ID; those shown last are offered."
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

;;;; Control

(defun anvillm-names (ids)
  "Return the names of the sessions IDS, in one line; of many the first few."
  (let ((more (- (length ids) 6)))
    (concat (if (cdr ids) (format "%d sessions: " (length ids)) "")
            (mapconcat #'anvillm-name (seq-take ids 6) ", ")
            (if (> more 0) (format " and %d more" more) ""))))

(defun anvillm--confirmed-p (action ids)
  "Return non-nil if ACTION, a symbol, may be done to the sessions IDS."
  (or (not (or (memq action anvillm-confirm)
               (and (cdr ids) (memq 'several anvillm-confirm)
                    (memq action '(stop restart kill interrupt)))))
      (yes-or-no-p (format "%s %s? " (capitalize (symbol-name action)) (anvillm-names ids)))))

(defun anvillm--control (action ids)
  "Have ACTION, a symbol, done to the sessions IDS."
  (when (anvillm--confirmed-p action ids)
    (dolist (id ids)
      (let ((name (anvillm-name id)))
        (anvillm-write (concat id "/ctl") (format "%s\n" action)
                       (anvillm-then (format "%s %s" action name)
                                     (lambda (_) (message "%s: %s" name action))))))))

(defun anvillm-stop (ids)
  "Stop the agents of the sessions IDS; they can be restarted."
  (interactive (list (anvillm-current-many "Stop: ")))
  (anvillm--control 'stop ids))

(defun anvillm-restart (ids)
  "Restart the agents of the sessions IDS with their conversations."
  (interactive (list (anvillm-current-many "Restart: ")))
  (anvillm--control 'restart ids))

(defun anvillm-kill (ids)
  "Kill the sessions IDS for good."
  (interactive (list (anvillm-current-many "Kill: ")))
  (anvillm--control 'kill ids))

(defun anvillm-interrupt (ids)
  "Interrupt what the sessions IDS are at."
  (interactive (list (anvillm-current-many "Interrupt: ")))
  (anvillm--control 'interrupt ids))

(defun anvillm-hold (ids)
  "Hold the queues of the sessions IDS: their agents get nothing more of them."
  (interactive (list (anvillm-current-many "Hold the queue of: ")))
  (anvillm--control 'hold ids))

(defun anvillm-go (ids)
  "Let the queues of the sessions IDS go on."
  (interactive (list (anvillm-current-many "Let go on the queue of: ")))
  (anvillm--control 'go ids))

(defun anvillm-keys (id keys)
  "Press KEYS in the pane of the session ID.
KEYS are names with blanks between, as in \"Down Enter\"."
  (interactive (let ((id (anvillm-current "Keys for the pane of: ")))
                 (list id (read-string (format "Keys for the pane of %s (as in Down Enter): "
                                               (anvillm-name id))))))
  (anvillm-write (concat id "/ctl")
                 (concat "keys " (mapconcat #'anvillm-quote (split-string keys) " ") "\n")
                 (anvillm-then "keys" (lambda (_) (message "%s: %s" (anvillm-name id) keys)))))

(defun anvillm-alias (id alias)
  "Give the session ID the name ALIAS; an empty one takes it away."
  (interactive (let ((id (anvillm-current "Alias of: ")))
                 (list id (read-string (format "Alias of %s: " id) (anvillm-get id :alias)))))
  (anvillm-write (concat id "/alias") (concat alias "\n")
                 (anvillm-then "alias"
                               (lambda (_)
                                 (message "%s is %s" id
                                          (if (string-empty-p alias) "nameless" alias))
                                 (anvillm-sync-soon)))))

(defvar anvillm-prompt-history nil "Prompts sent, newest first.")

(defun anvillm-send-prompt (ids text done)
  "Send TEXT to the sessions IDS; DONE gets a list of (ID . CONDITION) that failed."
  (let* ((left (length ids)) failed
         (answered (lambda (id err)
                     (when err (push (cons id err) failed))
                     (when (= 0 (cl-decf left)) (funcall done (nreverse failed))))))
    (dolist (id ids)
      (condition-case err
          (anvillm-write (concat id "/in") text (lambda (_ err) (funcall answered id err)))
        (user-error (funcall answered id err)))))) ; no daemon

(defun anvillm-prompt (ids text)
  "Send the prompt TEXT, read in the minibuffer, to the sessions IDS."
  (interactive
   (let ((ids (anvillm-current-many "Prompt: ")))
     (list ids (read-string (format "Prompt to %s: " (mapconcat #'anvillm-name ids ", "))
                            nil 'anvillm-prompt-history))))
  (when (string-blank-p text) (user-error "Nothing to send"))
  (let ((names (mapconcat #'anvillm-name ids ", ")))
    (anvillm-send-prompt
     ids text
     (lambda (failed)
       (if (not failed)
           (message "Accepted by %s" names)
         (kill-new text)
         (message "Not accepted, the prompt is in the kill ring: %s"
                  (mapconcat (lambda (f)
                               (format "%s: %s" (anvillm-name (car f)) (anvillm-sentence (cdr f))))
                             failed "; ")))))))

;;;; Start

(defvar anvillm--last-backend nil "The backend started last.")

(defun anvillm--read-backend ()
  "Ask for a backend."
  (unless anvillm-backends
    (let (done)
      (anvillm-read-backends (lambda () (setq done t)))
      (anvillm-await (lambda () (or done anvillm-backends)))))
  (let ((default (or anvillm--last-backend
                     (car (cl-find "ok" anvillm-backends :key #'caddr :test #'equal)))))
    (completing-read
     (format-prompt "Backend" default)
     (lambda (string predicate action)
       (if (eq action 'metadata)
           `(metadata (category . anvillm-backend)
                      (annotation-function
                       . ,(lambda (name)
                            (pcase (assoc name anvillm-backends)
                              (`(,_ ,title ,status . ,_)
                               (concat "  " title (unless (equal status "ok")
                                                    (propertize (concat "  " status) 'face
                                                                'anvillm-error))))))))
         (complete-with-action action anvillm-backends string predicate)))
     nil nil nil nil default)))

(defun anvillm--read-options ()
  "Ask for the options of a new session."
  (cl-loop for key in '(alias role tasks branch model mode)
           for prompt = (format "%s (empty for none): " (capitalize (symbol-name key)))
           collect (cons key (if (eq key 'role) (anvillm--read-role prompt) (read-string prompt)))))

(defun anvillm--read-role (prompt)
  "Ask with PROMPT for a role; each is shown with what it is for."
  (let ((roles (mapcar (lambda (line) (split-string line "\t"))
                       (split-string (anvillm-text (anvillm-await-read "roles")) "\n" t))))
    (completing-read
     prompt
     (lambda (string predicate action)
       (if (not (eq action 'metadata)) (complete-with-action action roles string predicate)
         `(metadata
           (category . anvillm-role)
           (annotation-function . ,(lambda (name) (concat "  " (cadr (assoc name roles)))))))))))

(defun anvillm-default-directory ()
  "Return the directory that a new session is offered."
  (let ((id (anvillm-at-point)))
    (if id (file-name-as-directory (anvillm-get id :cwd))
      (anvillm-project-root default-directory))))

;;;###autoload
(defun anvillm-start (backend directory &optional options)
  "Start a session of BACKEND in DIRECTORY.
With a prefix argument ask for OPTIONS too: an alist of alias, role, tasks,
branch, model and mode."
  (interactive
   (progn
     (anvillm-conn)
     (list (anvillm--read-backend)
           (read-directory-name "In directory: " (anvillm-default-directory) nil t)
           (when current-prefix-arg
             (anvillm--read-options)))))
  (when (string-blank-p backend) (user-error "Which backend?"))
  (when (file-remote-p directory)
    (user-error
     (concat "%s is on another machine; a session there needs a daemon there:"
              " run anvilsrv on it, and Emacs or anvillm")
     directory))
  (setq anvillm--last-backend backend)
  (let ((command (string-join
                  `("new" ,(anvillm-quote backend)
                    ,(anvillm-quote (directory-file-name (expand-file-name directory)))
                    ,@(cl-loop for (key . value) in options
                               unless (string-blank-p value)
                               collect (anvillm-quote (format "%s=%s" key
                                                              (string-replace " " "" value)))))
                  " ")))
    (message "Starting %s..." backend)
    (anvillm-9p-write-read (anvillm-conn) "ctl" (concat command "\n")
                           (anvillm-then "start" (lambda (bytes)
                                                   (let ((id (anvillm-text bytes)))
                                                     (message "Started %s %s" backend id)
                                                     (run-hook-with-args 'anvillm-started-functions
                                                                         id)))))))

(defvar anvillm-started-functions nil "Called with the id of a session that was started from here.")

;;;; Around a session

(defun anvillm-dired (id)
  "Open the directory of the session ID."
  (interactive (list (anvillm-current "Directory of: ")))
  (dired (anvillm-cwd id)))

(defun anvillm-cwd (id)
  "Return the directory of the session ID, or signal a `user-error' if it is gone."
  (let ((cwd (or (anvillm-get id :cwd) "")))
    (unless (file-accessible-directory-p cwd)
      (user-error "%s works in %s, which is not there" (anvillm-name id)
                  (abbreviate-file-name cwd)))
    cwd))

;; Git that an agent could have configured is never run by Emacs itself: neither by vc nor by Magit.
(defun anvillm--policy (id)
  "Return the options of `anvillm-sandbox-program' for the policy of ID."
  (let ((role (anvillm-get id :role)))
    (append (list "--backend" (anvillm-get id :backend))
            (unless (member role '(nil "")) (list "--role" role))
            (mapcan (lambda (task) (list "--task" task)) (append (anvillm-get id :tasks) nil)))))

(defun anvillm-project-diff (id)
  "Show what has changed in the project of ID, by git in such a sandbox."
  (interactive (list (anvillm-current "Diff of: ")))
  (let* ((root (anvillm-project-root (anvillm-cwd id)))
         (program (executable-find anvillm-sandbox-program))
         (buffer (anvillm-buffer-get id "*anvillm %s diff*")))
    (unless (locate-dominating-file root ".git")
      (user-error "%s is under no git" (abbreviate-file-name root)))
    (unless program
      (user-error "There is no program %s; set `anvillm-sandbox-program'" anvillm-sandbox-program))
    (with-current-buffer buffer
      (let ((inhibit-read-only t)) (erase-buffer))
      (diff-mode)
      (setq buffer-read-only t)
      (setq-local default-directory root revert-buffer-function
                  (lambda (&rest _) (anvillm-project-diff id)))
      (make-process
       :name "anvillm-diff" :buffer buffer :noquery t :connection-type 'pipe
       :command (append (list program "run") (anvillm--policy id)
                        (list "--cwd" root "--" "git" "--no-pager" "diff" "--no-color"
                              "--no-ext-diff" "HEAD"))
       :filter (lambda (process text)
                 (when (buffer-live-p (process-buffer process))
                   (with-current-buffer (process-buffer process)
                     (let ((inhibit-read-only t))
                       (save-excursion (goto-char (point-max)) (insert (anvillm-visible text)))))))
       :sentinel (lambda (process _)
                   (when (and (memq (process-status process) '(exit signal))
                              (buffer-live-p (process-buffer process))
                              (= 0 (buffer-size (process-buffer process))))
                     (message "Nothing has changed in %s" (abbreviate-file-name root))))))
    (pop-to-buffer buffer)))

(defun anvillm-copy-id (ids)
  "Copy the ids of the sessions IDS."
  (interactive (list (anvillm-current-many "Copy id of: ")))
  (let ((text (string-join ids " ")))
    (kill-new text)
    (message "%s" text)))

(defun anvillm-show-file (id file)
  "Show FILE of the session ID, read once, in a buffer of its own."
  (anvillm-conn)
  (with-current-buffer (anvillm-buffer-get id (concat "*anvillm %s " file "*"))
    (special-mode)
    (setq truncate-lines t)
    (setq-local revert-buffer-function (lambda (&rest _) (anvillm-show-file id file)))
    (anvillm-read (concat id "/" file)
                  (anvillm-then file (lambda (bytes)
                                       (let ((inhibit-read-only t) (at (point)))
                                         (erase-buffer)
                                         (insert (anvillm--aligned (anvillm-text bytes)) "\n")
                                         (goto-char (min at (point-max)))))))
    (pop-to-buffer (current-buffer))))

(defun anvillm--aligned (text)
  "Return TEXT, whose columns are behind tabs, with each as wide as need be."
  (let* ((rows (mapcar (lambda (line) (split-string line "\t")) (split-string text "\n"))) widths)
    (dolist (row rows)
      (cl-loop for cell in (butlast row) for n from 0
               do (setf (alist-get n widths 0)
                        (max (alist-get n widths 0)
                             (min 40 (string-width cell)))))) ; few are longer
    (mapconcat (lambda (row)
                 (string-join (cl-loop for (cell . more) on row for n from 0
                                       collect (if more (string-pad cell (alist-get n widths))
                                                 cell))
                              "  "))
               rows "\n")))

(defun anvillm-sandbox (id)
  "Show what the session ID may do, and what enforces it."
  (interactive (list (anvillm-current "Sandbox of: ")))
  (anvillm-show-file id "sandbox"))

(defun anvillm-refresh ()
  "Ask the daemon again."
  (interactive)
  (anvillm-conn)
  (anvillm-sync))

;;;; The next that needs me

(defun anvillm-needing ()
  "Return the sessions that need the user: those that ask first."
  (let ((rank '((ask . 0) (error . 1) (held . 2) (mail . 3) (fresh . 4))))
    (sort (cl-remove-if-not #'anvillm-needs (anvillm-sessions))
          (lambda (a b)
            (< (alist-get (anvillm-needs a) rank) (alist-get (anvillm-needs b) rank))))))

(declare-function anvillm-conversation "anvillm-talk" (id))

;;;###autoload
(defun anvillm-next-needing (&optional back)
  "Go to the next session that needs the user.
If BACK, to the one before."
  (interactive)
  (anvillm-await-sessions)
  (let* ((ids (mapcar #'anvillm-id (anvillm-needing))) (here (anvillm-at-point))
         (rest (cdr (member here (if back (reverse ids) ids))))
         (id (or (car rest) (car (if back (last ids) ids)))))
    (cond ((not id) (message "Nobody needs you"))
          ((derived-mode-p 'anvillm-mode) (anvillm-goto id))
          ((eq 'ask (anvillm-needs (anvillm-session id))) (anvillm-answer id))
          (t (anvillm-conversation id)))
    (when id
      (message "%s: %s" (anvillm-name id)
               (pcase (anvillm-needs (anvillm-session id))
                 ('ask (concat (anvillm-ask-text (anvillm-session id))
                               (substitute-command-keys "  (\\[anvillm-answer] answers)")))
                 ((or 'error 'held) (anvillm-note (anvillm-session id)))
                 ('mail "mail waits for you")
                 (_ "has answered"))))))
(declare-function anvillm-goto "anvillm" (id))
(declare-function anvillm-answer "anvillm-ask" (id))

(defun anvillm-previous-needing ()
  "Go to the previous session that needs the user."
  (interactive)
  (anvillm-next-needing t))

;;;; Keys

(defvar anvillm-session-map (anvillm-bindings-map 'session)
  "Keys on a session, the same in every buffer of AnviLLM.")

;;;; Help, from the keymaps

(defun anvillm--first-sentence (command)
  "Return what COMMAND does, from the first line of its docstring."
  (let ((doc (car (split-string (or (ignore-errors (documentation command)) "") "\n"))))
    (let ((case-fold-search nil))
      (string-remove-suffix
       "." (replace-regexp-in-string "\\b[A-Z]\\{3,\\}\\b" #'downcase
                                     (replace-regexp-in-string " IDS?\\b" "" doc) t)))))

(defun anvillm-help ()
  "Show what the keys of this buffer do."
  (interactive)
  (let ((rows (anvillm-bindings-of (current-local-map)))
        (mode (string-remove-suffix "-mode" (symbol-name major-mode))))
    (with-help-window "*AnviLLM help*"
      (princ (format "Keys of %s\n\n" mode))
      (dolist (ours '(t nil))
        (pcase-dolist (`(,command . ,keys) rows)
          (when (and (eq ours (string-prefix-p "anvillm" (symbol-name command)))
                     (not (memq command '(digit-argument negative-argument undefined))))
            (princ (format "%-16s %s\n"
                           (mapconcat (lambda (k) (propertize k 'face 'anvillm-key))
                                      (sort keys #'string<) ", ")
                           (anvillm--first-sentence command)))))
        (when ours (princ "\nAs everywhere\n\n"))))))

(provide 'anvillm-session)
;;; anvillm-session.el ends here
