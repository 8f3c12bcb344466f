;;; buffer-test.el --- Buffers, drafts, what is acted on  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-talk)
(require 'anvillm-queue)
(require 'anvillm-compose)
(require 'anvillm-attach)
(require 'anvillm-menu)

(defun buffer-test-rename (tree id alias)
  "Have the session ID of TREE called ALIAS, and wait until it is known."
  (support-publish tree :type "state_change" :session_id id :state "idle" :alias alias)
  (support-wait (equal alias (anvillm-get id :alias))))

(ert-deftest buffer-follows-its-session-not-its-name ()
  (support-with-tree 2
    (anvillm-conversation "00000001")
    (let ((one (current-buffer)))
      (should (equal "*anvillm agent-1*" (buffer-name)))
      (buffer-test-rename tree "00000001" "old")
      (should (equal "*anvillm old*" (buffer-name one)))
      (buffer-test-rename tree "00000002" "agent-1")
      (anvillm-conversation "00000002")
      (should-not (eq one (current-buffer)))
      (should (equal '("*anvillm agent-1*" "00000002") (list (buffer-name) anvillm-buffer-session)))
      (should (equal "00000001" (with-current-buffer one (anvillm-at-point)))))))

(ert-deftest buffer-of-a-review-says-that-it-is-old-once-the-agent-has-worked ()
  (require 'anvillm-review)
  (support-with-tree 2
    (cl-letf (((symbol-function 'anvillm-read) #'ignore)) (anvillm-review "00000001"))
    (set-buffer (window-buffer))
    (cl-flet ((old () (string-match-p "old, [gr] reads it again" (anvillm-review--header))))
      (anvillm-review--draw "")
      (support-publish tree :type "response" :session_id "00000002")
      (support-publish tree :type "state_change" :session_id "00000001" :state "idle" :alias "worker")
      (support-wait (equal "worker" (anvillm-get "00000001" :alias)))
      (should-not (old))
      (support-publish tree :type "response" :session_id "00000001")
      (support-wait (old))
      (setq anvillm-review--turn "1")
      (should-not (old))
      (setq anvillm-review--turn nil)
      (anvillm-review--draw "")
      (should-not (old)))))

(ert-deftest buffer-says-that-its-session-was-killed-and-leaves-the-name-to-the-next ()
  (support-with-tree 2
    (anvillm-conversation "00000001")
    (let ((one (current-buffer)))
      (support-publish tree :type "session_end" :session_id "00000001")
      (support-wait (not (anvillm-session "00000001")))
      (should (equal "*anvillm agent-1 (killed)*" (buffer-name one)))
      (buffer-test-rename tree "00000002" "agent-1")
      (anvillm-conversation "00000002")
      (should (equal "*anvillm agent-1*" (buffer-name)))
      (should-not (with-current-buffer one (anvillm-at-point))))))

(ert-deftest buffer-of-a-session-called-like-one-of-ours-is-another ()
  (support-with-tree 2
    (buffer-test-rename tree "00000001" "daemon")
    (anvillm-conversation "00000001")
    (should (equal "*anvillm daemon session*" (buffer-name)))))

(ert-deftest buffer-of-a-terminal-gives-the-agent-what-interrupts-it ()
  (require 'term)
  (with-temp-buffer
    (use-local-map (anvillm-attach--keys))
    (should (eq 'term-send-raw (key-binding (kbd "C-c"))))
    (let (sent)
      (cl-letf (((symbol-function 'term-send-raw-string) (lambda (chars) (push chars sent))))
        (call-interactively (key-binding [escape])))
      (should (equal '("\e") sent)))
    (should (keymapp (lookup-key term-raw-map (kbd "C-c"))))))

(ert-deftest buffer-attached-to-one-is-not-shown-for-another-of-the-name ()
  (support-with-tree 2
    (let ((anvillm-terminal 'term) kill-buffer-query-functions)
      (save-window-excursion
        (anvillm-attach--show "00000001" "exec cat")
        (let ((one (anvillm-buffer-find "00000001" anvillm-attach--format)))
          (should (equal "*attach agent-1*" (buffer-name one)))
          (buffer-test-rename tree "00000001" "old")
          (should (equal "*attach old*" (buffer-name one)))
          (buffer-test-rename tree "00000002" "agent-1")
          (anvillm-attach--show "00000002" "exec cat")
          (let ((two (anvillm-buffer-find "00000002" anvillm-attach--format)))
            (should-not (eq one two))
            (dolist (b (list one two))
              (set-process-query-on-exit-flag (get-buffer-process b) nil)
              (kill-buffer b))))))))

(defun buffer-test-compose ()
  "Open the draft to session 1, as the command loop does."
  (anvillm-compose '("00000001"))
  (set-buffer (window-buffer)))

(defmacro buffer-test-draft (&rest body)
  "Run BODY in a draft to session 1 where the history has two prompts."
  `(support-with-tree 2
     (setq anvillm-prompt-history '("newer" "older"))
     (buffer-test-compose)
     ,@body))

(defun buffer-test-again ()
  "Put this draft away and open it again."
  (let ((inhibit-message t)) (anvillm-compose-put-away))
  (buffer-test-compose))

;;; With the next Emacs.
(ert-deftest draft-finds-the-prompts-that-were-sent-before-emacs-was-ended ()
  (let ((anvillm-data-directory (make-temp-file "ah" t)) (anvillm-history-length 2)
        (anvillm-prompt-history nil) (anvillm-history-loaded nil))
    (mapc #'anvillm-history-add '("1" "2" "3" "4" "üé日\n\tand \"more\""))
    (write-region "no JSON\n" nil (expand-file-name "history" anvillm-data-directory) t 'silent)
    (setq anvillm-prompt-history nil anvillm-history-loaded nil)
    (anvillm-history-load)
    (should (equal '("üé日\n\tand \"more\"" "4") anvillm-prompt-history))
    (setq anvillm-prompt-history '("new") anvillm-history-loaded nil)
    (anvillm-history-load)
    (should (equal '("new" "üé日\n\tand \"more\"" "4") anvillm-prompt-history))
    (should (equal #o600 (logand #o777 (file-modes (expand-file-name "history" anvillm-data-directory)))))
    (delete-directory anvillm-data-directory t)))

(ert-deftest draft-is-kept-when-the-history-was-looked-at ()
  (buffer-test-draft
   (insert "mine")
   (anvillm-compose-previous)
   (should (equal "newer" (buffer-string)))
   (buffer-test-again)
   (should (equal "mine" (buffer-string)))
   (anvillm-compose-previous)
   (anvillm-compose-previous)
   (anvillm-compose-next)
   (anvillm-compose-next)
   (should (equal "mine" (buffer-string)))))

(ert-deftest draft-is-kept-beside-a-prompt-of-the-history-that-is-edited ()
  (buffer-test-draft
   (insert "mine")
   (anvillm-compose-previous)
   (insert " and more")
   (buffer-test-again)
   (should (equal "newer and more" (buffer-string)))
   (anvillm-compose-next)
   (should (equal "mine" (buffer-string)))
   (should (equal '("newer and more" "newer" "older") anvillm-prompt-history))
   (anvillm-compose-previous)
   (should (equal "newer and more" (buffer-string)))))

(ert-deftest draft-is-offered-again-after-an-old-prompt-was-sent ()
  (buffer-test-draft
   (insert "mine")
   (anvillm-compose-previous)
   (setq anvillm-compose-send (lambda (_ done) (funcall done nil)))
   (anvillm-compose-accept)
   (buffer-test-compose)
   (should (equal "mine" (buffer-string)))))

(ert-deftest draft-that-is-being-sent-is-not-offered-again-once-it-was-accepted ()
  (dolist (leave (list #'anvillm-compose-put-away #'kill-buffer))
    (buffer-test-draft
     (let (answer (file (anvillm-compose-draft-file)) (buffer (current-buffer)))
       (insert "mine")
       (setq anvillm-compose-send (lambda (_ done) (setq answer done)))
       (anvillm-compose-accept)
       (should (file-exists-p file))
       (funcall leave)
       (should (file-exists-p file))
       (funcall answer nil)
       (should-not (file-exists-p file))
       (should-not (buffer-live-p buffer))))))

(ert-deftest draft-goes-to-another-session-only-if-that-has-none ()
  (buffer-test-draft
   (insert "mine")
   (anvillm-compose-retarget "00000002")
   (should (equal "*prompt to agent-2*" (buffer-name)))
   (buffer-test-compose)
   (should (equal "" (buffer-string)))
   (should-error (anvillm-compose-retarget "00000002") :type 'user-error)))

(ert-deftest draft-gets-no-bytes-of-a-picture-and-no-large-file ()
  (support-with-tree 1
    (dolist (content '("\x89PNG\r\n\0\0" "a\xff" "large"))
      (let ((file (make-temp-file "aimg" nil ".bin"))
            (text (if (equal content "large") (make-string 70000 ?x) content)))
        (let ((coding-system-for-write 'no-conversion)) (write-region text nil file nil 'silent))
        (should-not (anvillm-enclose--file-text file nil nil)) ; the agent gets a copy
        (delete-file file)))))

(ert-deftest draft-keeps-what-is-attached-apart-from-the-words-around-it ()
  (buffer-test-draft
   (erase-buffer)
   (cl-letf (((symbol-function 'anvillm-create) (lambda (_path _data then) (funcall then nil nil))))
     (insert "see")
     (save-excursion (insert "and that"))
     (anvillm-enclose--data "a.png" "x")
     (anvillm-enclose--data "b.png" "x")
     (anvillm-enclose--put "src/x.el"))
   (should (string-match-p "\\`see attach/[0-9]+-a.png attach/[0-9]+-b.png src/x.el and that\\'"
                           (replace-regexp-in-string " +" " " (buffer-string))))))

(ert-deftest draft-completes-files-of-the-session-after-an-at-sign-and-runs-no-git ()
  (buffer-test-draft
   (let ((top (file-name-as-directory (make-temp-file "acomp" t))))
     (dolist (file '("src/main.c" "src/deep/er/lexer.c" ".git/config" "node_modules/x.js" "README"))
       (make-directory (file-name-directory (expand-file-name file top)) t)
       (write-region "" nil (expand-file-name file top) nil 'silent))
     (puthash "00000001" (plist-put (copy-sequence (anvillm-session "00000001")) :cwd top) anvillm-known-sessions)
     (cl-letf (((symbol-function 'call-process) (lambda (&rest _) (error "A program was run")))
               ((symbol-function 'process-file) (lambda (&rest _) (error "A program was run"))))
       (insert "look at @src/ma")
       (completion-at-point)
       (should (equal "look at @src/main.c" (buffer-string)))
       (erase-buffer)
       (insert "look at @lex")
       (completion-at-point)
       (should (equal "look at @src/deep/er/lexer.c" (buffer-string)))
       (erase-buffer)
       (insert "mail @nobody")
       (should-not (anvillm-complete-file))
       (should (equal '("README" "src/deep/er/lexer.c" "src/main.c")
                      (sort (copy-sequence (anvillm-complete--files top)) #'string<))))
     (erase-buffer)
     (insert "me@src/ma")
     (should-not (anvillm-complete-file))
     (delete-directory top t))))

(ert-deftest draft-completes-the-agent-s-commands-after-a-slash-at-its-beginning ()
  (buffer-test-draft
   (setq anvillm-complete--commands (list (car anvillm-compose-targets) '("compact" . "Shorten the conversation") '("clear" . "Begin anew")))
   (insert "/comp")
   (completion-at-point)
   (should (equal "/compact" (buffer-string)))
   (erase-buffer)
   (insert "see /comp")
   (should-not (anvillm-complete-command))))

(ert-deftest draft-tells-what-turns-the-text-around ()
  (should (equal "rm <U+202E>x␛[2J<U+200B>\n\té🐟" (anvillm-visible "rm \u202ex\e[2J\u200b\r\n\té🐟")))
  (should (equal '(:a "<U+202E>") (anvillm-json (encode-coding-string "{\"a\":\"\u202e\"}" 'utf-8)))))

(ert-deftest acting-on-several-is-asked-and-named ()
  (support-with-tree 3
    (anvillm-goto "00000001")
    (anvillm-mark)
    (should (string-match-p "Session .*(stopped)" (progn (anvillm-goto "00000002") (anvillm-unmark-all) (anvillm-goto "00000002") (anvillm-menu--heading))))
    (anvillm-goto "00000001")
    (anvillm-mark)
    (anvillm-mark)
    (should (string-match-p "Marked .*: 2 sessions: agent-1, agent-2; the others about 00000003" (anvillm-menu--heading)))
    (let (asked (anvillm-confirm (eval (car (get 'anvillm-confirm 'standard-value)))))
      (cl-letf (((symbol-function 'yes-or-no-p) (lambda (prompt) (push prompt asked) nil))
                ((symbol-function 'anvillm-write) (lambda (&rest _) (error "Done all the same"))))
        (call-interactively #'anvillm-stop)
        (call-interactively #'anvillm-interrupt))
      (should (equal '("Interrupt 2 sessions: agent-1, agent-2? " "Stop 2 sessions: agent-1, agent-2? ") asked)))))

(ert-deftest manual-is-found-in-a-checkout ()
  (skip-unless (executable-find "makeinfo"))
  (require 'anvillm-manual)
  (let* ((anvillm-data-directory (file-name-as-directory (make-temp-file "am" t)))
         (shown (lambda () (let ((buffer (get-buffer "*info*")))
                             (and buffer (with-current-buffer buffer
                                           (and (string-match-p "anvillm.info" (or Info-current-file ""))
                                                (string-match-p "The list" (buffer-string)))))))))
    (cl-letf (((symbol-function 'Info-find-file)
               (let ((found (symbol-function 'Info-find-file)))
                 (lambda (name &rest more) (unless (equal name "anvillm") (apply found name more))))))
      (unwind-protect
          (progn
            (anvillm-manual)
            (support-wait (funcall shown))
            (kill-buffer "*info*")
            (anvillm-manual)
            (should (funcall shown)))
        (when (get-buffer "*info*") (kill-buffer "*info*"))
        (delete-directory anvillm-data-directory t)))))

;;; As the installer leaves it, where Info does not look.
(ert-deftest manual-is-found-beside-the-package ()
  (require 'anvillm-manual)
  (let ((top (file-name-as-directory (make-temp-file "am" t))) shown)
    (write-region "" nil (concat top "anvillm.texi") nil 'silent)
    (write-region "" nil (concat top "anvillm.info") nil 'silent)
    (set-file-times (concat top "anvillm.texi") 0)
    (cl-letf (((symbol-function 'anvillm-manual--source) (lambda () (concat top "anvillm.texi")))
              ((symbol-function 'Info-find-file) #'ignore)
              ((symbol-function 'info) (lambda (file) (setq shown file))))
      (anvillm-manual))
    (should (equal (concat top "anvillm.info") shown))
    (delete-directory top t)))

(provide 'buffer-test)
;;; buffer-test.el ends here
