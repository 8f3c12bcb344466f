;;; frozen-test.el --- Every command while the daemon is frozen  -*- lexical-binding: t; -*-

;;; Commentary:

;; A daemon that is stopped (SIGSTOP) answers nothing.  Every command that a
;; keymap of the package binds, and every other one that it defines, is run
;; against such a daemon: on the first connection, after all was known, and when
;; its socket takes no connection any more.  None may hold Emacs up.  Whatever a
;; command asks the user is answered at once, so what is measured is the rest.

;;; Code:

(require 'support)
(dolist (file (directory-files (file-name-directory (locate-library "anvillm")) nil "\\`anvillm-[a-z0-9]+\\.el\\'"))
  (require (intern (file-name-base file))))
(require 'bookmark)

(defconst frozen-test-id "00000001" "A session of the tree.")

;;;; Which commands, and where

(defun frozen-test--list ()
  "Go to the list."
  (switch-to-buffer (anvillm-list-buffer))
  (goto-char (point-min)))

(defun frozen-test--conversation ()
  "Go to a conversation with some text."
  (switch-to-buffer (anvillm-conversation-buffer frozen-test-id))
  (anvillm-log--came "ASSISTANT 2026-11-22T16:12:50+0000\n\tsee a.c:1\n\n")
  (goto-char (point-min)))

(defconst frozen-test--message
  (concat "{\"id\":\"m1\",\"from\":\"" frozen-test-id "\",\"to\":\"user\",\"type\":\"APPROVAL_REQUEST\",\"reply_type\":\"APPROVAL_RESPONSE\","
          "\"subject\":\"s\",\"body\":\"b\",\"timestamp\":1}")
  "A message.")

(defun frozen-test--mail ()
  "Go to a mailbox with a message."
  (switch-to-buffer "*anvillm inbox user*")
  (anvillm-mail-mode)
  (setq anvillm-mail--owner "user" anvillm-mail--box "inbox")
  (anvillm-mail--take (concat "[" frozen-test--message "]"))
  (goto-char (point-min)))

(defun frozen-test--message ()
  "Go to a message."
  (switch-to-buffer (anvillm-mail--draw (anvillm-json frozen-test--message) "user" "inbox")))

(defun frozen-test--queue ()
  "Go to a queue with a prompt."
  (switch-to-buffer "*anvillm queue x*")
  (anvillm-queue-mode)
  (setq anvillm-buffer-session frozen-test-id)
  (anvillm-queue--take "1\tqueued\tqueue\t2026-11-22T16:12:50+0000\t-\t-\t-\tdo it\n")
  (goto-char (point-min)))

(defconst frozen-test--bead "{\"id\":\"b-1\",\"title\":\"t\",\"status\":\"open\",\"priority\":1}" "A bead.")

(defun frozen-test--waiting ()
  "Go to what waits, with a prompt."
  (switch-to-buffer "*anvillm waiting*")
  (anvillm-waiting-mode)
  (setq anvillm-waiting--found (list (list frozen-test-id (list "1" "queue" "2026-11-22T16:12:50+0000" "do it"))))
  (anvillm-waiting--draw)
  (goto-char (point-min)))

(defun frozen-test--ask ()
  "Go to a question."
  (switch-to-buffer (anvillm-buffer-get frozen-test-id anvillm-ask--format))
  (anvillm-ask-mode)
  (let ((ask (list :id "q" :text "May I?" :choices '("yes") :free t)))
    (puthash frozen-test-id (plist-put (copy-sequence (anvillm-session frozen-test-id)) :ask ask) anvillm-known-sessions)
    (anvillm-ask-again)
    (setq last-command-event ?1)))

(defun frozen-test--beads ()
  "Go to the beads."
  (switch-to-buffer "*anvillm beads*")
  (anvillm-beads-mode)
  (anvillm-beads--take "[]" (concat "[" frozen-test--bead "]"))
  (goto-char (point-min)))

(defun frozen-test--bead ()
  "Go to a bead."
  (switch-to-buffer "*anvillm bead b-1*")
  (anvillm-bead-mode)
  (setq anvillm-bead--id "b-1" anvillm-bead--bead (anvillm-json frozen-test--bead)))

(defun frozen-test--daemon ()
  "Go to the daemon's buffer."
  (switch-to-buffer "*anvillm daemon*")
  (anvillm-daemon-mode))

(defun frozen-test--compose ()
  "Go to a prompt with some text."
  (dolist (buffer (buffer-list))
    (when (string-prefix-p "*prompt to" (buffer-name buffer))
      (with-current-buffer buffer
        (setq anvillm-compose-draft nil)
        (kill-buffer))))
  (anvillm-compose-with (list frozen-test-id) "some text")
  (set-buffer (window-buffer)))

(defun frozen-test--code ()
  "Go to a buffer with a function that somebody says something about."
  (switch-to-buffer "*code*")
  (emacs-lisp-mode)
  (erase-buffer)
  (insert (propertize "(defun one ()\n  1)\n" 'kbd-help "unused"))
  (goto-char (point-min))
  (push-mark (point-max) t t))

(defun frozen-test--commands ()
  "Return what is to be run: (COMMAND . PLACE)... for every command of the package."
  (let (all)
    (pcase-dolist (`(,map . ,place)
                   `((,anvillm-mode-map . frozen-test--list) (,anvillm-log-mode-map . frozen-test--conversation)
                     (,anvillm-mail-mode-map . frozen-test--mail) (,anvillm-queue-mode-map . frozen-test--queue) (,anvillm-ask-mode-map . frozen-test--ask)
                     (,anvillm-waiting-mode-map . frozen-test--waiting)
                     (,anvillm-message-mode-map . frozen-test--message)
                     (,anvillm-beads-mode-map . frozen-test--beads) (,anvillm-bead-mode-map . frozen-test--bead)
                     (,anvillm-daemon-mode-map . frozen-test--daemon) (,anvillm-compose-mode-map . frozen-test--compose)
                     (,anvillm-command-map . frozen-test--code)))
      (dolist (row (anvillm-bindings-of map))
        (when (string-prefix-p "anvillm" (symbol-name (car row)))
          (push (cons (car row) place) all))))
    (mapatoms (lambda (symbol)
                (when (and (string-prefix-p "anvillm" (symbol-name symbol)) (commandp symbol)
                           (not (assq symbol all)))
                  (push (cons symbol 'frozen-test--code) all))))
    ;; A click needs a mouse.
    (cl-remove-if (lambda (row) (equal "e" (cadr (interactive-form (car row))))) (nreverse all))))

;;;; Running one

(defun frozen-test--choose (_prompt collection &rest _)
  "Choose the first of COLLECTION."
  (let ((first (car (all-completions "" collection)))) (if (consp first) (car first) (or first ""))))

(defmacro frozen-test--answering (directory &rest body)
  "Run BODY; whatever is asked is answered at once, with DIRECTORY where one is wanted."
  (declare (indent 1))
  `(cl-letf (((symbol-function 'completing-read) #'frozen-test--choose)
             ((symbol-function 'read-string) (lambda (&rest _) "some words"))
             ((symbol-function 'read-regexp) (lambda (&rest _) ""))
             ((symbol-function 'read-from-minibuffer) (lambda (&rest _) ""))
             ((symbol-function 'read-directory-name) (lambda (&rest _) ,directory))
             ((symbol-function 'read-file-name) (lambda (&rest _) (locate-library "anvillm")))
             ((symbol-function 'read-char-choice) (lambda (_ choices &rest _) (car choices)))
             ((symbol-function 'read-event) (lambda (&rest _) ?q))
             ((symbol-function 'yes-or-no-p) #'always)
             ((symbol-function 'y-or-n-p) #'always)
             ((symbol-function 'info) #'ignore)
             ((symbol-function 'transient-setup) #'ignore))
     ,@body))

(defvar frozen-test--broken nil "What failed otherwise than by the user's mistake.")

(defun frozen-test--run (command place)
  "Run COMMAND where PLACE leads to; return how long it held Emacs up, in seconds.
What others had of the processor does not count."
  (funcall place)
  (when (and buffer-read-only (buffer-modified-p))
    (push (list place "counts as modified") frozen-test--broken))
  (let ((start (float-time)) (kept (support-kept-waiting)))
    (condition-case err
        ;; As if there was a terminal to wait at.
        (let ((noninteractive nil) (last-nonmenu-event ?x)) (call-interactively command))
      ((user-error quit) nil)
      (error (push (list command place err) frozen-test--broken)))
    (- (float-time) start (- (support-kept-waiting) kept))))

(defvar frozen-test--prepare nil "Function that brings about the situation in which a command is run.")

(defun frozen-test--quick-p (command place)
  "Return nil if COMMAND at PLACE held Emacs up for 50 ms, ten times in a row.
A busy machine makes some of them slow; a wait for the daemon, all."
  (cl-loop repeat 10
           do (funcall frozen-test--prepare)
           thereis (< (frozen-test--run command place) 0.05)))

(defun frozen-test--all (directory)
  "Run every command; DIRECTORY is the namespace."
  (let ((inhibit-message t) (anvillm-program "true") (anvillm-terminal "true") (anvillm-confirm '(kill stop))
        (frozen-test--broken nil) slow)
    (frozen-test--answering directory
      (pcase-dolist (`(,command . ,place) (frozen-test--commands))
        (unless (frozen-test--quick-p command place) (push command slow))))
    (should-not frozen-test--broken)
    (should-not slow)))

(defun frozen-test--thaw-and-freeze (tree)
  "Let all be known of TREE, which is frozen then."
  (signal-process (tree-process tree) 'SIGCONT)
  (support-wait (progn (anvillm-connect-later) (eq 'live (anvillm-link-status))))
  (support-wait (and anvillm-backends (not (anvillm--syncing-p)) (anvillm-session frozen-test-id)))
  (signal-process (tree-process tree) 'SIGSTOP))

(defun frozen-test--fill (socket)
  "Connect to SOCKET until it takes no more; return the connections."
  (let (made process)
    (while (process-live-p (setq process (make-network-process :name "full" :family 'local :service socket
                                                               :nowait t :noquery t)))
      (push process made)
      (when (nthcdr 800 made) (error "The backlog has no end")))
    made))

;;;; The tests

(ert-deftest frozen-runs-all-commands-there-are ()
  (let ((commands (frozen-test--commands)))
    (dolist (one '(anvillm-start anvillm-compose anvillm-mail-reply anvillm-beads-claim anvillm-compose-accept
                                 anvillm-prompt-defun anvillm-log-again anvillm-daemon-restart anvillm-notify-mode))
      (should (assq one commands)))
    (should (> (length commands) 150))))

(ert-deftest frozen-daemon-holds-up-no-command-on-the-first-connection ()
  (support-with-tree 3
    (signal-process (tree-process tree) 'SIGSTOP)
    (let ((frozen-test--prepare (lambda () (support-reset) (setq anvillm-namespace dir anvillm-backends nil))))
      (frozen-test--all dir))))

(ert-deftest frozen-daemon-holds-up-no-command-when-all-is-known ()
  (support-with-tree 3
    (let ((frozen-test--prepare
           (lambda ()
             (unless (and (memq (anvillm-link-status) '(live silent)) (anvillm-session frozen-test-id))
               (setq anvillm-namespace dir)
               (frozen-test--thaw-and-freeze tree)))))
      (support-reset)
      (frozen-test--all dir))))

(ert-deftest frozen-daemon-holds-up-no-command-when-its-socket-is-full ()
  (support-with-tree 3
    (signal-process (tree-process tree) 'SIGSTOP)
    (let ((full (frozen-test--fill (tree-socket tree))))
      (unwind-protect
          (progn
            (should (> (length full) 2))
            (let ((frozen-test--prepare (lambda () (support-reset) (setq anvillm-namespace dir anvillm-backends nil))))
              (frozen-test--all dir))
            ;; What is known is still there, and the link comes up by itself.
            (frozen-test--list)
            (setq anvillm--pause 0.1)
            (should-error (anvillm-connect) :type 'anvillm-9p-lost)
            (should (eq 'lost (anvillm-link-status))))
        (mapc #'delete-process full)))
    (signal-process (tree-process tree) 'SIGCONT)
    (support-wait (eq 'live (anvillm-link-status)))))

(ert-deftest frozen-every-wait-in-the-sources-is-known ()
  "The only synchronous waits are these, each with its bound."
  (let (found)
    (dolist (file (directory-files (file-name-directory (locate-library "anvillm")) t "\\`anvillm.*\\.el\\'"))
      (with-temp-buffer
        (insert-file-contents file)
        (emacs-lisp-mode)
        (while (re-search-forward
                (concat "(\\(accept-process-output\\|sleep-for\\|sit-for\\|call-process[a-z-]*\\|process-file\\|process-lines\\|"
                        "shell-command[a-z-]*\\|url-retrieve-synchronously\\|open-network-stream\\|dbus-call-method\\|"
                        "thread-join\\|read-event\\|anvillm-9p-sync\\|anvillm-await\\|anvillm-await-read\\|anvillm-await-sessions\\)[ )\n]")
                nil t)
          (let ((what (match-string 1)))
            (unless (save-excursion (nth 8 (syntax-ppss (match-beginning 0))))
              (push (list (file-name-base file) (save-excursion (add-log-current-defun)) what) found))))))
    (should (equal (sort (mapcar (lambda (f) (format "%s" f)) found) #'string<)
                   (sort (mapcar
                          (lambda (f) (format "%s" f))
                          '(("anvillm-9p" "anvillm-9p-sync" "accept-process-output") ; its caller's bound; no command is one
                            ("anvillm-wait" "anvillm-wait--poll" "accept-process-output") ; 20 ms; then the minibuffer
                            ("anvillm-wait" "anvillm-await-sessions" "anvillm-await")
                            ("anvillm-which" "anvillm-read-session" "anvillm-await-sessions")
                            ("anvillm-start" "anvillm--read-backend" "anvillm-await")
                            ("anvillm-session" "anvillm-next-needing" "anvillm-await-sessions")
                            ("anvillm-mail" "anvillm-mail--read-owner" "anvillm-await-sessions")
                            ("anvillm-command" "anvillm-target" "anvillm-await-sessions")
                            ("anvillm-wait" "anvillm-await-read" "anvillm-await")
                            ("anvillm-branch" "anvillm-branch--current" "anvillm-await-sessions")
                            ("anvillm-branch" "anvillm-branch-turns" "anvillm-await-read")
                            ("anvillm-option" "anvillm-option" "anvillm-await-read")
                            ("anvillm-start" "anvillm--read-role" "anvillm-await-read")
                            ("anvillm-extras" "anvillm-consult" "anvillm-await-sessions")
                            ("anvillm-extras" "anvillm-org-open" "anvillm-await-sessions")
                            ("anvillm-extras" "anvillm-org-capture" "anvillm-await-read")))
                         #'string<)))
    (should (<= anvillm-wait--grace 0.02))))

(provide 'frozen-test)
;;; frozen-test.el ends here
