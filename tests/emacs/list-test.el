;;; list-test.el --- The list, live  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-log)
(require 'anvillm-queue)
(require 'anvillm-waiting)
(require 'anvillm-ask)
(require 'anvillm-review)
(require 'anvillm-mail)
(require 'anvillm-beads)
(require 'anvillm-daemon)
(require 'anvillm-command)

(defun list-test-ids ()
  "Return the ids in the buffer, in order."
  (with-current-buffer "*anvillm*"
    (save-excursion
      (goto-char (point-min))
      (let (ids)
        (while (not (eobp))
          (push (tabulated-list-get-id) ids)
          (forward-line))
        (nreverse ids)))))

(ert-deftest list-shows-every-session-oldest-first ()
  (support-with-tree 30
    (should (equal (list-test-ids) (mapcar (lambda (n) (format "%08x" n)) (number-sequence 1 30))))
    (should (support-row-says "agent-1 " "running +shell .*src/project-1"))))

(ert-deftest list-reads-the-sessions-again-when-they-change-while-it-reads-them ()
  (support-with-tree 2
    (let ((readings 0))
      (cl-letf* ((read (symbol-function 'anvillm-9p-read))
                 ((symbol-function 'anvillm-9p-read)
                  (lambda (conn path callback)
                    (when (equal path "sessions") (cl-incf readings))
                    (funcall read conn path callback))))
        (anvillm-sync)
        (anvillm-sync)
        (should (= 1 readings))
        (support-wait (= 2 readings))))))

(ert-deftest list-hears-of-changes-before-it-reads-what-there-is ()
  (support-with-tree 2
    (let (asked)
      (cl-letf* ((read (symbol-function 'anvillm-9p--open))
                 ((symbol-function 'anvillm-9p--open)
                  (lambda (op path mode k)
                    (push (concat "open " path) asked)
                    (funcall read op path mode (lambda () (push (concat "opened " path) asked) (funcall k))))))
        (anvillm-disconnect)
        (anvillm-connect)
        (support-wait (eq 'live (anvillm-link-status)))
        (should (member "opened events" (member "open sessions" asked)))))))

(ert-deftest list-changes-one-row-in-place-when-its-session-changes ()
  (support-with-tree 30
    (let ((before (buffer-chars-modified-tick)) (others (butlast (split-string (buffer-string) "\n") 2)))
      (support-publish tree :type "state_change" :session_id "0000001d" :state "error" :error "it broke")
      (support-wait (support-row-says "agent-29" "error .*it broke"))
      (should (> (buffer-chars-modified-tick) before))
      (should (equal (cl-subseq (split-string (buffer-string) "\n") 0 28) (cl-subseq others 0 28))))))

(ert-deftest list-keeps-point-and-scroll-of-every-window ()
  (support-with-tree 200
    (delete-other-windows)
    (let* ((one (selected-window)) (two (split-window)) (at (lambda (n) (anvillm-rows-at (format "%08x" n)))))
      (set-window-buffer two (get-buffer "*anvillm*"))
      (set-window-start one (funcall at 50)) (set-window-point one (+ 5 (funcall at 55)))
      (set-window-start two (funcall at 120)) (set-window-point two (+ 7 (funcall at 121)))
      (goto-char (+ 5 (funcall at 55)))
      (let ((check (lambda ()
                     (should (= (window-start one) (funcall at 50)))
                     (should (= (window-point one) (+ 5 (funcall at 55))))
                     (should (= (window-start two) (funcall at 120)))
                     (should (= (window-point two) (+ 7 (funcall at 121)))))))
        ;; The row of each point, and one above both windows.
        (dolist (n '(55 121 3))
          (support-publish tree :type "state_change" :session_id (format "%08x" n) :state "error" :error "x")
          (support-wait (equal "error" (anvillm-get (format "%08x" n) :state)))
          (funcall check))
        (support-publish tree :type "session_end" :session_id "00000002")
        (support-wait (not (anvillm-session "00000002")))
        (funcall check)
        (support-publish tree :type "session_new" :session_id "00000fff" :backend "shell" :cwd "/tmp" :alias "")
        (support-wait (support-row "00000fff"))
        (funcall check)
        (anvillm-list-draw)
        (funcall check)))))

(ert-deftest list-shows-first-who-needs-me-and-point-goes-along ()
  (support-with-tree 5
    (let ((anvillm-list-needing-first t))
      (anvillm-list-draw)
      (anvillm-goto "00000003")
      (forward-char 4)
      (support-publish tree :type "state_change" :session_id "00000005" :state "error" :error "x")
      (support-wait (equal '("00000005" "00000001" "00000002" "00000003" "00000004") (list-test-ids)))
      (support-publish tree :type "ask" :session_id "00000003" :ask '(:id "1" :text "May I?"))
      (support-wait (equal '("00000003" "00000005" "00000001" "00000002" "00000004") (list-test-ids)))
      (should (equal "00000003" (tabulated-list-get-id)))
      (support-publish tree :type "ask" :session_id "00000003" :ask nil :asks [])
      (support-wait (equal '("00000005" "00000001" "00000002" "00000003" "00000004") (list-test-ids))))))

(ert-deftest list-tells-how-long-ago-and-grows-older ()
  (support-with-tree 3
    (cl-flet ((at (seconds) (anvillm-ago (- (float-time) seconds))))
      (should (equal '("now" "59m" "23h" "98d") (mapcar #'at (list 30 3599 86399 (* 98.5 86400))))))
    (should (support-row-says "agent-1 " "shell +now "))
    (let ((session (copy-sequence (anvillm-session "00000001"))))
      (puthash "00000001" (plist-put session :since (- (float-time) 130)) anvillm-known-sessions))
    (anvillm-list--tick)
    (should (support-row-says "agent-1 " "shell +2m "))
    (switch-to-buffer "*scratch*")
    (anvillm-list--tick)
    (should-not anvillm-list--clock)))

(ert-deftest list-has-one-table-for-keys-help-and-menus ()
  (support-with-tree 1
    (pcase-dolist (`(,key . ,command)
                   '(("s" . anvillm-start) ("p" . anvillm-compose) ("P" . anvillm-prompt) ("t" . anvillm-stop)
                     ("R" . anvillm-restart) ("K" . anvillm-kill) ("a" . anvillm-alias) ("d" . anvillm-daemon)))
      (dolist (map (list anvillm-mode-map anvillm-log-mode-map anvillm-queue-mode-map anvillm-waiting-mode-map
                         anvillm-ask-mode-map anvillm-review-mode-map))
        (should (eq command (lookup-key map (kbd key)))))
      (unless (equal key "p") (should (eq command (lookup-key anvillm-command-map (kbd key))))))
    (dolist (map (list anvillm-mode-map anvillm-queue-mode-map anvillm-mail-mode-map anvillm-beads-mode-map
                       anvillm-bead-mode-map anvillm-daemon-mode-map anvillm-ask-mode-map))
      (should (eq 'next-line (lookup-key map "n")))
      (should-not (eq 'previous-line (lookup-key map "p"))))
    (should-not (lookup-key anvillm-command-map "q"))
    (let ((menu (lookup-key anvillm-mode-map [menu-bar AnviLLM])))
      (should (keymapp menu))
      (should (string-match-p "anvillm-discard" (format "%s" menu))))
    (should (equal '("B D") (cdr (assq 'anvillm-discard (anvillm-bindings-of anvillm-mode-map)))))
    ;; Every command of the table is there.
    (dolist (place anvillm-bindings)
      (dolist (group (cddr place))
        (pcase-dolist (`(,_ ,command . ,_) (cdr group))
          (should (or (null command) (commandp command))))))))

(ert-deftest list-puts-a-row-where-it-belongs-when-sorted ()
  (support-with-tree 20
    (anvillm-sort "State")
    (let ((states (lambda () (mapcar (lambda (id) (anvillm-get id :state)) (list-test-ids)))))
      (should (equal (funcall states) (sort (funcall states) #'string<)))
      (anvillm-goto "00000004")
      (forward-char 4)
      (support-publish tree :type "state_change" :session_id "00000004" :state "stopped")
      (support-wait (equal "stopped" (anvillm-get "00000004" :state)))
      (should (equal (funcall states) (sort (funcall states) #'string<)))
      (should (equal "00000004" (tabulated-list-get-id)))
      (anvillm-sort "State")
      (should (equal (funcall states) (reverse (sort (funcall states) #'string<))))
      (anvillm-sort "State")
      (should (equal (car (list-test-ids)) "00000001")))))

(ert-deftest list-columns-grow-with-the-window-and-give-way-in-their-order ()
  (support-with-tree 3
    (let ((names (lambda (width) (mapcar #'car (anvillm-list--layout width)))))
      (should (equal '(name state backend model when mail queue directory note) (funcall names 120)))
      (should (equal '(name state backend when mail queue directory note) (funcall names 80)))
      (should (equal '(name state backend when directory note) (funcall names 70)))
      (should (equal '(name state note) (funcall names 50)))
      (puthash "00000001" (plist-put (copy-sequence (anvillm-session "00000001")) :alias "a-name-of-many-letters-indeed")
               anvillm-known-sessions)
      (should (= 31 (cadr (assq 'name (anvillm-list--layout 200)))))
      (should (= 28 (cadr (assq 'directory (anvillm-list--layout 200)))))
      (should (= 17 (cadr (assq 'name (anvillm-list--layout 80)))))
      (puthash "00000001" t anvillm-fresh-ids)
      (anvillm-list-draw)
      (should (support-row-says "a-name-of-man" "a-name-of-ma[a-z]*… \\*")))))

(ert-deftest list-filters-and-says-when-nothing-is-left ()
  (support-with-tree 20
    (anvillm-filter "agent-1[0-3]")
    (should (equal '("0000000a" "0000000b" "0000000d") (list-test-ids)))
    (anvillm-filter "nothing like it")
    (should (string-match-p "No session matches" (buffer-string)))
    (support-publish tree :type "state_change" :session_id "00000004" :state "error" :error "nothing like it")
    (support-wait (equal '("00000004") (list-test-ids)))
    (anvillm-filter "")
    (should (= 20 (length (list-test-ids))))))

(ert-deftest list-says-what-the-daemon-notes-in-its-order ()
  (support-with-tree 5
    (support-publish tree :type "state_change" :session_id "00000001" :state "idle"
                     :error "boom" :held "limit" :sandbox_tier "weak")
    (support-wait (support-row-says "agent-1 " "weak sandbox, held: limit, boom"))
    (support-publish tree :type "ask" :session_id "00000001" :ask '(:id "1" :text "May I?" :choices ("a")))
    (support-wait (support-row-says "agent-1 " "May I\\?, weak sandbox, held: limit, boom"))))

(ert-deftest list-says-what-an-agent-does ()
  (support-with-tree 3
    (support-publish tree :type "state_change" :session_id "00000001" :state "running")
    (support-publish tree :type "session_update" :session_id "00000001"
                     :doing "Bash: make\ncheck" :since (- (float-time) 130))
    (support-wait (support-row-says "agent-1 " "running.* 2m .*Bash: make check"))
    (support-publish tree :type "session_update" :session_id "00000001" :doing "running")
    (support-wait (not (support-row-says "agent-1 " "Bash\\|running.*running")))))

(ert-deftest list-marks-stay-when-rows-change ()
  (support-with-tree 5
    (goto-char (point-min))
    (anvillm-mark) (anvillm-mark)
    (should (equal '("00000001" "00000002") (anvillm-current-many)))
    (support-publish tree :type "state_change" :session_id "00000001" :state "error" :error "x")
    (support-wait (support-row-says "agent-1 " "\\`\\* .*error"))
    (goto-char (point-min))
    (anvillm-unmark)
    (should (equal '("00000002") (anvillm-current-many)))
    (anvillm-unmark-all)
    (goto-char (point-min))
    (should (equal '("00000001") (anvillm-current-many)))))

(ert-deftest list-survives-the-daemon-and-says-that-it-is-stale ()
  (support-with-tree 3
    (support-wait (eq 'live (anvillm-link-status)))
    (support-stop-tree tree)
    (support-wait (eq 'lost (anvillm-link-status)))
    (should (support-row "agent-1 "))
    (should (eq 'anvillm-off (overlay-get (car (overlays-at (point-min))) 'face)))
    (should (string-match-p "stale" mode-line-process))
    (setq tree (support-start-tree (tree-socket tree) 4))
    (support-wait (support-row "agent-4"))
    (support-wait (eq 'live (anvillm-link-status)))
    (should-not (overlays-at (point-min)))
    (support-publish tree :type "state_change" :session_id "00000004" :state "error" :error "after")
    (support-wait (support-row-says "agent-4" "after"))))

(ert-deftest list-has-no-timer-when-nothing-happens ()
  (support-with-tree 3
    (support-wait (and (eq 'live (anvillm-link-status)) (not anvillm--sync-timer) (not (anvillm--syncing-p))))
    (support-wait (anvillm-work-idle-p))
    (should-not (cl-remove-if-not (lambda (timer) (string-match-p "anvillm" (format "%S" (timer--function timer))))
                                  timer-list))
    (should-not (cl-some #'timer--repeat-delay timer-list))))

(ert-deftest list-finds-the-next-that-needs-me ()
  (support-with-tree 10
    (should-not (anvillm-needing))
    (support-publish tree :type "response" :session_id "00000008")
    (support-publish tree :type "state_change" :session_id "00000002" :state "error" :error "x")
    (support-publish tree :type "ask" :session_id "00000005" :ask '(:text "May I?" :choices ("yes" "no")))
    (support-wait (= 3 (length (anvillm-needing))))
    (support-wait (support-row-says "agent-5" "asks .*May I"))
    (should (support-row-says "agent-8" "agent-8 \\*"))
    (goto-char (point-min))
    (let ((inhibit-message t))
      (anvillm-next-needing) (should (equal "00000005" (tabulated-list-get-id)))
      (anvillm-next-needing) (should (equal "00000002" (tabulated-list-get-id)))
      (anvillm-next-needing) (should (equal "00000008" (tabulated-list-get-id)))
      (anvillm-next-needing) (should (equal "00000005" (tabulated-list-get-id)))
      (anvillm-previous-needing) (should (equal "00000008" (tabulated-list-get-id))))))

(ert-deftest list-completes-sessions-with-annotations-and-groups ()
  (support-with-tree 3
    (let (table)
      (cl-letf (((symbol-function 'completing-read) (lambda (_prompt collection &rest _) (setq table collection) "agent-2")))
        (should (equal "00000002" (anvillm-read-session "Session: "))))
      (let* ((metadata (completion-metadata "" table nil)) (get (lambda (key) (completion-metadata-get metadata key))))
        (should (equal '("00000003" "agent-1" "agent-2") (sort (all-completions "" table) #'string<)))
        (should (eq 'anvillm-session (funcall get 'category)))
        (should (string-match-p "stopped +kiro-cli +/home/somebody" (funcall (funcall get 'annotation-function) "agent-2")))
        (should (string-match-p "project-2/" (funcall (funcall get 'group-function) "agent-2" nil)))))))

(ert-deftest list-comes-back-with-the-desktop ()
  (support-with-tree 2
    (require 'desktop)
    (let ((desktop-dirname dir) (desktop-globals-to-save nil) (desktop-restore-frames nil) (inhibit-message t))
      (anvillm-conversation "00000001")
      (desktop-save dir t)
      (support-reset)
      (let ((noninteractive nil)) (desktop-read dir))
      (should (get-buffer "*anvillm*"))
      (should (get-buffer "*anvillm agent-1*"))
      (support-wait (support-row "agent-1")))))

(ert-deftest list-shows-a-percent-sign-as-one ()
  (support-with-tree 2
    (anvillm-filter "100%d")
    (should (equal " /100%%d/" (substring-no-properties mode-line-process)))))

(ert-deftest list-has-an-index-by-project ()
  (support-with-tree 3
    (let ((index (anvillm-list--imenu)))
      (should (= 3 (length index)))
      (should (equal "agent-1" (caadr (car index)))))))

(ert-deftest list-helps-with-every-key-of-the-seed ()
  (support-with-tree 1
    (dolist (pair '(("s" . anvillm-start) ("p" . anvillm-compose) ("P" . anvillm-prompt) ("t" . anvillm-stop)
                    ("R" . anvillm-restart) ("K" . anvillm-kill) ("a" . anvillm-alias) ("r" . anvillm-refresh)
                    ("g" . anvillm-refresh) ("d" . anvillm-daemon) ("q" . quit-window) ("?" . anvillm-help)))
      (should (eq (cdr pair) (key-binding (kbd (car pair))))))
    (anvillm-help)
    (with-current-buffer "*AnviLLM help*"
      (dolist (line '("^g, r +Ask the daemon" "^M-n +Go to the next session that needs" "^<mouse-2>, RET" "^U +Unmark all"))
        (goto-char (point-min))
        (should (re-search-forward line nil t))))))

(ert-deftest list-never-waits-for-a-frozen-daemon ()
  (support-with-tree 50
    (support-wait (eq 'live (anvillm-link-status)))
    (signal-process (tree-process tree) 'SIGSTOP)
    (let ((inhibit-message t) (id "00000001") (anvillm-confirm nil))
      (require 'anvillm-talk) (require 'anvillm-compose) (require 'anvillm-mail) (require 'anvillm-queue) (require 'anvillm-beads) (require 'anvillm-daemon)
      (dolist (command (list #'anvillm #'anvillm-refresh #'anvillm-daemon #'anvillm-beads #'anvillm-log #'anvillm-user-inbox
                             (lambda () (anvillm-stop (list id)))
                             (lambda () (anvillm-alias id "x"))
                             (lambda () (anvillm-keys id "Down Enter"))
                             (lambda () (anvillm-conversation id))
                             (lambda () (anvillm-context id))
                             (lambda () (anvillm-sandbox id))
                             (lambda () (anvillm-inbox id))
                             (lambda () (anvillm-queue id))
                             (lambda () (anvillm-start "shell" "/tmp/"))
                             (lambda () (anvillm-prompt (list id) (make-string 2000000 ?x)))
                             (lambda () (dotimes (_ 100) (anvillm-prompt (list id) "one of many")))))
        (support-quick (funcall command)))
      (with-current-buffer "*anvillm*"
        (support-wait (eq 'silent (anvillm-link-status)))
        (should (string-match-p "does not answer" mode-line-process)))
      (signal-process (tree-process tree) 'SIGCONT)
      (support-wait (eq 'live (anvillm-link-status))))))

(ert-deftest list-switches-to-another-namespace ()
  (support-with-tree 2
    (let* ((other (make-temp-file "ae" t)) (second (support-start-tree (expand-file-name "agent" other) 5)))
      (unwind-protect
          (let ((anvillm-namespace anvillm-namespace))
            (anvillm-daemon-namespace other)
            (support-wait (= 5 (length anvillm-order)))
            (should (support-row "agent-5")))
        (support-stop-tree second)
        (delete-directory other t)))))

(require 'anvillm-daemon)
(provide 'list-test)
;;; list-test.el ends here
