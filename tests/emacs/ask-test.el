;;; ask-test.el --- Questions  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-talk)
(require 'anvillm-ask)
(require 'anvillm-sides)
(require 'anvillm-compose)

(defmacro ask-test-with (asks &rest body)
  "Run BODY in the questions ASKS of session 1 of a `tree'; `written' is what was written, newest first."
  (declare (indent 1))
  `(support-with-tree 2
     (let ((asks ,asks) written)
       (ask-test-ask tree asks)
       (cl-letf (((symbol-function 'anvillm-write)
                  (lambda (file text callback) (push (list file text) written) (funcall callback t nil))))
         (anvillm-answer "00000001")
         (set-buffer (window-buffer))
         ,@body))))

(defun ask-test-ask (tree asks)
  "Have session 1 of TREE ask ASKS, and wait until they are known."
  (support-publish tree :type "ask" :session_id "00000001" :ask (or (car asks) :json-null) :asks (vconcat asks))
  (support-wait (= (length asks) (length (anvillm-asks (anvillm-session "00000001"))))))

(defun ask-test-key (keys)
  "Type KEYS here."
  (save-window-excursion
    (switch-to-buffer (current-buffer))
    (execute-kbd-macro (kbd keys))))

(defconst ask-test-one '(:id "q1" :text "One?" :choices ("yes" "no" "quit" "edit")))
(defconst ask-test-two '(:id "q2" :text "Two?" :choices ("yes" "no")))

(ert-deftest ask-answers-by-number-and-no-letter-is-a-choice ()
  (ask-test-with (list ask-test-one)
    (should (string-match-p "\\`agent-1 asks\n\nOne\\?\n\n  1   yes\n  2   no\n  3   quit" (buffer-string)))
    (dolist (key '("q" "e" "n" "y"))
      (let ((before written))
        (ignore-errors (ask-test-key key))
        (should (eq before written))))
    (ask-test-key "3")
    (should (equal '(("00000001/answer" "q1 quit\n")) written))
    (should-error (ask-test-key "9"))))

(ert-deftest ask-with-several-answers-the-one-at-point ()
  (ask-test-with (list ask-test-one ask-test-two)
    (should-error (let ((last-command-event ?1)) (goto-char (point-min)) (anvillm-ask-choose)) :type 'user-error)
    (should-not written)
    (search-forward "Two?")
    (ask-test-key "2")
    (goto-char (point-min))
    (search-forward "yes")
    (ask-test-key "RET")
    (should (equal '(("00000001/answer" "q1 yes\n") ("00000001/answer" "q2 no\n")) written))))

(ert-deftest ask-that-went-away-is-crossed-out-and-not-answered-and-none-takes-its-place ()
  (ask-test-with (list ask-test-one)
    (let ((buffer (current-buffer)))
      (ask-test-ask tree (list ask-test-two))
      (with-current-buffer buffer
        (support-wait (string-match-p "over: " (buffer-string)))
        (goto-char (point-min))
        (should-error (let ((last-command-event ?1)) (anvillm-ask-choose)) :type 'user-error)
        (search-forward "One?")
        (should-error (let ((last-command-event ?1)) (anvillm-ask-choose)) :type 'user-error)
        (should-not written)
        (anvillm-ask-again)
        (ask-test-key "1")
        (should (equal '(("00000001/answer" "q2 yes\n")) written))))))

(ert-deftest ask-shows-the-whole-command-and-what-hides-in-it ()
  (let ((command (concat "make " (make-string 3000 ?x) " ; rm -rf \u202e/ \n# last line")))
    (ask-test-with (list (list :id "q1" :text "Use Bash?" :choices '("yes" "no")
                               :detail (json-encode (list :command command :description "Build"))))
      (should (string-match-p "<U\\+202E>/ \n# last line\n" (buffer-string)))
      (should (string-match-p "^description: Build$" (buffer-string))))))

(ert-deftest ask-shows-an-edit-as-a-diff ()
  (ask-test-with (list (list :id "q1" :text "Edit?" :choices '("yes" "no")
                             :detail (json-encode '(:file_path "/w/a.c" :old_string "a\nb\nc" :new_string "a\nB\nc"))))
    (should (string-match-p "^--- a/w/a.c\n\\+\\+\\+ b/w/a.c\n@@\n a\n-b\n\\+B\n c$" (buffer-string)))
    (goto-char (point-min))
    (re-search-forward "^\\+B")
    (should (eq 'diff-added (get-text-property (1- (point)) 'face)))
    (let (sides)
      (cl-letf (((symbol-function 'ediff-buffers)
                 (lambda (a b &rest _) (setq sides (mapcar (lambda (x) (with-current-buffer x (buffer-string))) (list a b))))))
        (anvillm-ask-ediff))
      (should (equal '("a\nb\nc\n" "a\nB\nc\n") sides)))))

(ert-deftest ask-compares-both-sides-of-the-diff-that-the-daemon-tells ()
  (let* ((head "--- a/x\n+++ b/x\n") (one "@@ -1,2 +1,3 @@ f\n a\n--- b\n+++ B\n+C\n") (two "@@ -9 +10 @@\n-y\n+z\n"))
    (should (equal '("a\n-- b\n" . "a\n++ B\nC\n") (anvillm-sides-of (concat head one))))
    (should (equal (cons "@@ -1,2 +1,3 @@ f\na\n-- b\n@@ -9 +10 @@\ny\n"
                         "@@ -1,2 +1,3 @@ f\na\n++ B\nC\n@@ -9 +10 @@\nz\n")
                   (anvillm-sides-of (concat head one two))))
    (should (equal '("a\n-- b\n" . "a\nC\n++ B\n")
                   (anvillm-sides-of (concat head "@@\n a\n--- b\n+C\n+++ B\n"))))
    (should (equal (cons "@@ f()\ny\n--- a/x\n@@\n1\n" "@@ f()\nz\n--- a/x\n@@\n2\n")
                   (anvillm-sides-of (concat head "@@ f()\n-y\n+z\n" head "@@\n-1\n+2\n"))))
    (should-not (anvillm-sides-of "Binary files differ\n"))
    (ask-test-with (list (list :id "q1" :text "Edit?" :choices '("yes" "no") :diff (concat head one)))
      (should (string-match-p "v compare" (buffer-string)))
      (save-window-excursion
        (anvillm-ask-ediff)
        (should (get-buffer "*anvillm proposed agent-1*"))
        (with-current-buffer "*Ediff Control Panel*" (ediff-really-quit nil))
        (should-not (get-buffer "*anvillm proposed agent-1*"))))))

(ert-deftest ask-of-several-parts-sends-a-line-for-each ()
  (ask-test-with (list '(:id "q1" :text "Which and what?" :free t
                         :questions [(:text "Which?" :choices ["red" "blue"] :multiple t) (:text "What?" :choices ["tea"])]))
    (search-forward "Which?")
    (ask-test-key "1 2")
    (should-error (ask-test-key "C-c C-c") :type 'user-error)
    (search-forward "What?")
    (anvillm-ask-write)
    (set-buffer (window-buffer))
    (insert "hot chocolate")
    (anvillm-compose-accept)
    (set-buffer (anvillm-buffer-find "00000001" anvillm-ask--format))
    (should (string-match-p "\\* hot chocolate" (buffer-string)))
    (goto-char (point-min))
    (search-forward "What?")
    (ask-test-key "C-c C-c")
    (should (equal '(("00000001/answer" "q1 red, blue\nhot chocolate\n")) written))))

(ert-deftest ask-is-answered-in-lines-of-one-s-own ()
  (ask-test-with (list '(:id "q1" :text "Why?" :free t))
    (ask-test-key "C-c C-c")
    (set-buffer (support-wait (get-buffer "*answer to agent-1*")))
    (insert "first\nsecond")
    (anvillm-compose-accept)
    (should (equal '(("00000001/answer" "q1 first\nsecond\n")) written))))

(ert-deftest ask-is-where-the-next-that-needs-me-leads ()
  (support-with-tree 2
    (ask-test-ask tree (list ask-test-one))
    (with-temp-buffer (anvillm-next-needing))
    (should (eq 'anvillm-ask-mode (buffer-local-value 'major-mode (window-buffer))))))

(provide 'ask-test)
;;; ask-test.el ends here
