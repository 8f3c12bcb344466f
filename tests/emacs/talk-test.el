;;; talk-test.el --- Conversations by what agents do  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-talk)
(require 'anvillm-ask)

(defvar talk-test-seq 0 "The number of the last object.")

(defun talk-test-tell (&rest objects)
  "Have OBJECTS, plists of turn 1 unless they say otherwise, come."
  (dolist (object objects)
    (anvillm-follow--came
     (concat (json-encode (append object (list :seq (cl-incf talk-test-seq) :ts 1795957322 :turn 1))) "\n"))))

(defmacro talk-test-with (&rest body)
  "Run BODY in the conversation of session 1 of a `tree', which is told by `talk-test-tell'."
  `(support-with-tree 2
     (anvillm-conversation "00000001")
     (set-buffer (window-buffer))
     (support-wait anvillm-follow-by-log)
     (setq anvillm-follow-by-log nil anvillm-follow-seq 0 anvillm-draw-entries (make-hash-table :test #'equal) talk-test-seq 0)
     ,@body))

(defun talk-test-shown ()
  "Return what is to be seen."
  (let ((at (point-min)) parts)
    (while (< at (point-max))
      (let ((next (next-single-char-property-change at 'invisible)))
        (unless (invisible-p at) (push (buffer-substring-no-properties at next) parts))
        (setq at next)))
    (apply #'concat (nreverse parts))))

(defun talk-test-look ()
  "Have what is to be seen get its faces, as when it is displayed and the user pauses."
  (with-silent-modifications
    (anvillm-look (point-min) (point-max))
    (while anvillm-look--waiting (anvillm-look-load-modes))
    (anvillm-look (point-min) (point-max))))

(defun talk-test-has (text)
  "Return non-nil if TEXT is to be seen."
  (string-search text (talk-test-shown)))

(ert-deftest talk-shows-a-turn-as-it-goes ()
  (talk-test-with
   (talk-test-tell '(:kind "prompt" :id "1" :text "fix it" :origin "queue")
                   '(:kind "text" :id "m" :part "I sh")
                   '(:kind "text" :id "m" :part "all look\n"))
   (should (string-match-p "\\`You  .*\nfix it\nagent-1  .*\nI shall look\n\n\n\\'" (buffer-string)))
   (talk-test-tell '(:kind "text" :id "m" :part "\n- a"))
   (should (talk-test-has "I shall look\n\n- a\n\n"))
   (talk-test-tell '(:kind "text" :id "m" :text "I shall look.")
                   '(:kind "tool" :id "t" :name "Bash" :type "execute" :title "make check" :input (:command "make check"))
                   '(:kind "output" :id "t" :part "one\n"))
   (should (talk-test-has "I shall look.\n\n▸ Bash: make check  …\n"))
   (should-not (talk-test-has "one"))
   (talk-test-tell '(:kind "output" :id "t" :text "one\ntwo\n" :end "failed" :exit 2 :seconds 134)
                   '(:kind "end" :how "error" :reason "it broke" :seconds 140 :background 0))
   (should (talk-test-has "▸ Bash: make check  ✗ failed exit 2 2:14\n— 2:20 error: it broke\n"))
   (should (equal '("fix it") (mapcar #'car (anvillm-log--imenu))))))

(ert-deftest talk-says-once-above-what-the-agent-does ()
  (talk-test-with
   (support-publish tree :type "state_change" :session_id "00000001" :state "running")
   (support-publish tree :type "session_update" :session_id "00000001" :doing "Bash: make" :since (float-time))
   (support-wait (string-match-p "running  0:[0-9]+ · Bash: make" (anvillm-log--header)))
   (should-not (string-match-p "Bash.*Bash" (anvillm-log--header)))
   (support-publish tree :type "session_update" :session_id "00000001" :doing "running")
   (support-wait (equal "running" (anvillm-get "00000001" :doing)))
   (should-not (string-match-p "running.*running" (anvillm-log--header)))))

(ert-deftest talk-has-a-header-that-gives-way-in-a-set-order ()
  (talk-test-with
   (support-publish tree :type "state_change" :session_id "00000001" :state "running")
   (support-publish tree :type "session_update" :session_id "00000001" :doing "Bash: make check"
                    :since (- (float-time) 134) :model "opus" :mode "plan" :context_left 63 :queued 2
                    :usage '(:input 1200 :output 300))
   (support-wait (equal "plan" (plist-get (anvillm-session "00000001") :mode)))
   (let* ((session (anvillm-session "00000001"))
          (shown (lambda (width) (substring-no-properties (anvillm-header-text session "" width)))))
     (should (string-match-p "\\` agent-1  running  2:14 · Bash: make check  63% context left  2 queued .*  opus plan  1k tokens  /"
                             (funcall shown 200)))
     (pcase-dolist (`(,width . ,text)
                    '((120 . " agent-1  running  2:14 · Bash: make check  63% context left  2 queued  1 mail  shell  opus plan  1k tokens")
                      (100 . " agent-1  running  2:14 · Bash: make check  63% context left  2 queued  1 mail  opus plan  1k tokens")
                      (90 . " agent-1  running  2:14 · Bash: make check  63% context left  2 queued  1 mail  1k tokens")
                      (80 . " agent-1  running  2:14 · Bash: make check  63% context left  2 queued")
                      (60 . " agent-1  running  2:14 · Bash: make check  63% context left")
                      (50 . " agent-1  running  2:14 · Bash: make check")
                      (30 . " agent-1  running  2:14 · Bas…")))
       (should (equal text (funcall shown width))))
     ;; What is wrong is never cut off.
     (should (string-suffix-p "  no daemon" (anvillm-header-text session "  no daemon" 50))))
   (support-publish tree :type "ask" :session_id "00000001"
                    :ask '(:id "q" :text "May I remove every file below the directory build?" :choices ("yes" "no")))
   (support-wait (anvillm-remarks (anvillm-session "00000001")))
   (let ((text (anvillm-header-text (anvillm-session "00000001") "" 60)))
     (should (string-match-p "\\` agent-1  asks.*  May I remove every file.*…\\'" text))
     (should (= 60 (string-width text))))))

(ert-deftest talk-collects-no-garbage-while-much-comes-and-as-before-when-the-user-pauses ()
  (talk-test-with
   (anvillm-garbage-as-before)
   (let* ((threshold gc-cons-threshold) (lines 400) collections
          (all (mapconcat (lambda (n)
                            (json-encode (list :kind "text" :id (format "m%d" n) :seq n :ts 1795957322 :turn 1
                                               :text (concat "- some words\n" (make-string 1000 ?x)))))
                          (number-sequence 1 lines) "\n")))
     (unwind-protect
         (progn
           (anvillm-follow--came (concat all "\n"))
           (should anvillm-follow--due)
           (garbage-collect)
           (setq collections gcs-done)
           (support-wait (not anvillm-follow--due))
           (should (= collections gcs-done))
           (should (talk-test-has "some words"))
           (anvillm-garbage-as-before)
           (should (= threshold gc-cons-threshold))
           (anvillm-garbage-later)
           (setq gc-cons-threshold 12345678)
           (anvillm-garbage-as-before)
           (should (= 12345678 gc-cons-threshold)))
       (anvillm-garbage-as-before)
       (setq gc-cons-threshold threshold)))))

(ert-deftest talk-has-one-time-for-a-piece-of-work-and-for-what-it-draws ()
  (talk-test-with
   (let ((all (mapconcat (lambda (n)
                           (json-encode (list :kind "tool" :id (format "m%d" n) :seq n :ts 1795957322 :turn 1
                                              :name "Bash" :title "make")))
                         (number-sequence 1 400) "\n"))
         (anvillm-work--slice 100) (anvillm-work--end (float-time)))
     (anvillm-follow--came (concat all "\n"))
     (should (= 399 (length anvillm-follow--due))))))

(ert-deftest talk-collects-no-garbage-of-a-few-objects-either-while-the-user-types ()
  (talk-test-with
   (anvillm-garbage-as-before)
   (let ((threshold gc-cons-threshold))
     (anvillm-work #'ignore)
     (support-wait (anvillm-work-idle-p))
     (should (>= gc-cons-threshold anvillm-garbage--most))
     (cl-letf (((symbol-function 'run-with-timer) (lambda (&rest _) (ert-fail "the pause is put off"))))
       (anvillm-garbage-later))
     (support-wait (memq anvillm-garbage--timer timer-idle-list))
     (apply (timer--function anvillm-garbage--timer) (timer--args anvillm-garbage--timer))
     (should (= threshold gc-cons-threshold)))))

(ert-deftest talk-folds-and-unfolds-a-tool-where-point-is ()
  (talk-test-with
   (talk-test-tell '(:kind "tool" :id "t" :name "Bash" :title "make" :input (:command "make -k"))
                   '(:kind "output" :id "t" :text "said\n" :end "ok") '(:kind "text" :id "m" :text "after"))
   (goto-char (point-min))
   (search-forward "make")
   (anvillm-log-toggle-fold)
   (should (talk-test-has "▾ Bash: make  ✓\ncommand: make -k\nsaid\n\nafter"))
   (should (looking-at "▾ "))
   (talk-test-tell '(:kind "output" :id "t" :part "more\n"))
   (should (talk-test-has "said\nmore\n"))
   (anvillm-log-toggle-fold)
   (should-not (talk-test-has "said"))))

(ert-deftest talk-shows-edits-as-diffs-and-steps-of-subagents-below-them ()
  (talk-test-with
   (talk-test-tell '(:kind "tool" :id "t" :name "Edit" :title "a.c" :input (:file_path "/w/a.c" :old_string "b" :new_string "B"))
                   '(:kind "edit" :id "t" :path "a.c" :added 1 :removed 1 :diff "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-b\n+B\n")
                   '(:kind "subagent" :id "s" :name "Explore" :state "begun")
                   '(:kind "text" :id "m" :text "meanwhile")
                   '(:kind "tool" :id "t2" :name "Grep" :title "x" :parent "s"))
   (should (talk-test-has "▾ Edit: a.c  … +1 −1\n@@ -1 +1 @@\n-b\n+B\n· subagent Explore…\n▸ Grep: x  …\n\nmeanwhile"))
   (goto-char (point-min))
   (search-forward "+B")
   (talk-test-look)
   (should (eq 'diff-added (get-text-property (1- (point)) 'face)))
   (search-forward "Grep")
   (should (equal "    " (get-text-property (point) 'line-prefix)))
   (talk-test-tell '(:kind "text" :id "m" :text "" :void t))
   (should-not (talk-test-has "meanwhile"))))

(ert-deftest talk-dresses-markdown-without-changing-a-letter ()
  (talk-test-with
   (let ((text "# Head\n\n- **bold** and `code`\n\n| a | long |\n|---|---|\n| xxx | b |\n\n```python\ndef f(x):\n    return 'x'\n```\n> said"))
     (talk-test-tell (list :kind "text" :id "m" :text text))
     (should (talk-test-has text))
     (talk-test-look)
     (dolist (pair '(("Head" anvillm-markdown-heading) ("bold" anvillm-markdown-bold) ("code" anvillm-markdown-code)
                     ("def" font-lock-keyword-face) ("said" font-lock-comment-face)))
       (goto-char (point-min))
       (search-forward (car pair))
       (should (equal (cadr pair) (get-text-property (1- (point)) 'face))))
     (goto-char (point-min))
     (search-forward "| a |")
     (should (equal "  |" (get-text-property (1- (point)) 'display))))))

;; A row that ends where a piece ends was taken for the next one, for ever.
(ert-deftest talk-takes-a-table-that-grows-in-the-middle-of-a-row ()
  (talk-test-with
   (let ((text "| a | b |\n|---|---|\n| x | y |\n| x | z |"))
     (dotimes (n (length text))
       (talk-test-tell (list :kind "text" :id "m" :part (substring text n (1+ n))))
       (talk-test-look)
       (should (talk-test-has (substring text 0 (1+ n)))))
     (talk-test-tell (list :kind "text" :id "n" :part "\n| a | b |") (list :kind "text" :id "o" :part "after"))
     (talk-test-look)
     (should (talk-test-has "after")))))

(ert-deftest talk-loads-no-mode-while-words-come ()
  (talk-test-with
   (let ((mode 'talk-test-mode) (anvillm-text--modes '(("talktest" . talk-test-mode))) loaded)
     (unwind-protect
         (progn
           (fset mode '(autoload "talk-test-nowhere" nil t))
           (talk-test-tell (list :kind "text" :id "m" :text "```talktest\nsome code\n```"))
           (with-silent-modifications (anvillm-look (point-min) (point-max)))
           (cl-letf (((symbol-function 'autoload-do-load)
                      (lambda (&rest _) (setq loaded t) (fset mode #'emacs-lisp-mode))))
             (should-not loaded)
             (anvillm-look-load-modes)
             (should loaded)
             (should (text-property-any (point-min) (point-max) 'anvillm-raw t))))
       (fmakunbound mode)))))

(defvar talk-test-loaded nil "What was loaded, the last first.")

(ert-deftest talk-loads-what-a-mode-requires-before-it-piece-by-piece ()
  (let* ((dir (make-temp-file "al" t)) (load-path (cons dir load-path)) (anvillm-load--tried nil) steps)
    (pcase-dolist (`(,name . ,text) '(("al-a" . "(require 'al-b)\n(require 'al-c)\n(require 'al-none nil t)")
                                      ("al-b" . "") ("al-c" . "(require 'al-b)")))
      (write-region (format "%s\n(push \"%s\" talk-test-loaded)\n(provide '%s)\n" text name name)
                    nil (expand-file-name (concat name ".el") dir) nil 'silent))
    (byte-compile-file (expand-file-name "al-a.el" dir)) ; as modes are
    (setq talk-test-loaded nil features (cl-set-difference features '(al-b al-c)))
    (while (anvillm-load-piece (locate-library "al-a"))
      (push (length talk-test-loaded) steps))
    (should (equal '("al-c" "al-b") talk-test-loaded))
    (should (equal '(1 2) (delete-dups (nreverse steps))))
    (delete-directory dir t)))

(ert-deftest talk-folds-the-middle-of-a-long-text-never-its-end ()
  (talk-test-with
   (talk-test-tell (list :kind "text" :id "m" :text (mapconcat #'number-to-string (number-sequence 1 200) "\n")))
   (should (talk-test-has "\n20"))
   (should-not (talk-test-has "\n100\n"))
   (should (talk-test-has "\n196\n197"))
   (should (talk-test-has "\n200\n"))
   (goto-char (point-max))
   (forward-line -2)
   (anvillm-log-toggle-fold)
   (should (talk-test-has "\n100\n"))))

(ert-deftest talk-shows-the-lines-that-it-leaves-out-of-what-a-tool-says ()
  (talk-test-with
   (talk-test-tell '(:kind "tool" :id "t" :name "Bash" :title "seq 300")
                   (list :kind "output" :id "t" :end "ok"
                         :text (mapconcat #'number-to-string (number-sequence 1 300) "\n")))
   (goto-char (point-max))
   (re-search-backward "Bash")
   (anvillm-log-toggle-fold)
   (goto-char (point-min))
   (search-forward "100 lines left out here")
   (should-not (talk-test-has "\n100\n"))
   (save-window-excursion
     (anvillm-log-visit)
     (should (equal "*anvillm output*" (buffer-name)))
     (should (save-excursion (search-forward "\n100\n" nil t))))))

(ert-deftest talk-asks-where-one-reads-and-takes-the-answer-there ()
  (talk-test-with
   (let ((ask '(:id "q1" :text "May I?" :choices ("yes" "no"))) written)
     (talk-test-tell '(:kind "ask" :id "q1" :text "May I?" :choices ["yes" "no"]))
     (support-publish tree :type "ask" :session_id "00000001" :ask ask :asks (vector ask))
     (support-wait (talk-test-has "  1   yes\n"))
     (cl-letf (((symbol-function 'anvillm-write) (lambda (file text &rest _) (push (list file text) written))))
       (goto-char (point-min))
       (search-forward "   no")
       (anvillm-log-visit))
     (should (equal '(("00000001/answer" "q1 no\n")) written))
     (talk-test-tell '(:kind "decision" :id "q1" :choice "no" :by "person"))
     (support-publish tree :type "ask" :session_id "00000001" :ask :json-null :asks [])
     (support-wait (talk-test-has "? May I?  → no\n"))
     (should-not (talk-test-has "1   yes")))))

(ert-deftest talk-takes-a-megabyte-and-long-lines-without-a-pause ()
  (talk-test-with
   (talk-test-tell '(:kind "text" :id "m" :part "begins\n"))
   (let ((piece (apply #'concat (make-list 20 "some words of an agent, **src/a.c:12**: like this\n"))))
     (dotimes (_ 300) (support-quick (talk-test-tell (list :kind "text" :id "m" :part piece)))))
   (dotimes (_ 60) (support-quick (talk-test-tell (list :kind "text" :id "l" :part (make-string 16000 ?x)))))
   (dotimes (n 200)
     (support-quick (talk-test-tell (list :kind "tool" :id (format "t%d" n) :name "Bash" :title "make")
                                    (list :kind "output" :id (format "t%d" n) :text (make-string 16000 ?y) :end "ok"))))))

(ert-deftest talk-unfolds-a-line-of-a-megabyte-without-a-pause ()
  (talk-test-with
   (talk-test-tell '(:kind "tool" :id "t" :name "Bash" :title "make")
                   (list :kind "output" :id "t" :text (concat (make-string 1000000 ?y) "\nend\n") :end "ok"))
   (goto-char (point-min))
   (search-forward "make")
   (anvillm-garbage-as-before)
   (let ((collections (progn (garbage-collect) gcs-done)))
     (anvillm-log-toggle-fold)
     (should (= collections gcs-done))
     (anvillm-log-toggle-fold))
   (goto-char (point-min))
   (search-forward "make")
   (support-quick (anvillm-log-toggle-fold))
   (unless (talk-test-has "▾ Bash") (anvillm-log-toggle-fold))
   (should (talk-test-has "yyy"))
   (should (talk-test-has "\nend\n"))
   (should (< (length (talk-test-shown)) 10000))
   (talk-test-tell (list :kind "text" :id "m" :text (make-string 1000000 ?z)))
   (goto-char (point-max))
   (search-backward "zz")
   (support-quick (anvillm-log-toggle-fold))
   (should (string-search "more characters (TAB)" (get-char-property (point) 'before-string)))
   (should (< (length (talk-test-shown)) 250000))
   (talk-test-tell '(:kind "text" :id "m" :text "" :void t))
   ;; So is one that grows.
   (let ((before (length (talk-test-shown))))
     (dotimes (_ 3) (talk-test-tell (list :kind "text" :id "l" :part (make-string 16000 ?x))))
     (should (< (length (talk-test-shown)) (+ before 10000))))))

;; Every value that is kept makes each collection longer, for which every key waits.
(ert-deftest talk-keeps-few-values-of-what-is-over-and-still-knows-it-all ()
  (talk-test-with
   (let* ((count 300) (diff (apply #'concat "@@ -1,20 +1,20 @@\n" (make-list 10 "-an old line\n+a new line\n")))
          (values (lambda ()
                    (garbage-collect)
                    (apply #'+ (mapcar (lambda (kind) (nth 2 (assq kind (garbage-collect)))) '(conses strings intervals)))))
          (before (funcall values)))
     (dotimes (n count)
       (talk-test-tell (list :kind "tool" :id (format "t%d" n) :name "Edit" :title "a.c" :input `(:why ,(format "for %d" n)))
                       (list :kind "edit" :id (format "t%d" n) :path "a.c" :added 10 :removed 10 :diff diff)
                       (list :kind "output" :id (format "t%d" n) :text "said\n" :part "in parts\n" :end "ok")))
     (should (< (/ (- (funcall values) before) count) 120))
     (goto-char (point-min))
     (should (search-forward "why: for 0\n"))
     (should (looking-at "@@ .*\n-an old line\n\\+a new"))
     (talk-test-look)
     (should (eq 'diff-removed (get-text-property (line-beginning-position 2) 'face)))
     (talk-test-tell '(:kind "output" :id "t0" :seconds 3))
     (goto-char (point-min))
     (should (looking-at ".*\n.* 3\\.0 s \\+10 −10\n\\(.*\n\\)\\{22\\}said\nin parts\n")))))

(ert-deftest talk-gives-a-long-diff-its-faces-only-where-it-is-seen ()
  (talk-test-with
   (let ((anvillm-unfold-lines 5000))
     (talk-test-tell (list :kind "edit" :id "t" :path "a.c" :added 2000
                           :diff (apply #'concat "@@ -0,0 +1,2000 @@\n" (make-list 2000 "+a line\n"))))
     (goto-char (point-min))
     (forward-line 1000)
     (let ((from (+ 3 (point))))
       (with-silent-modifications (anvillm-look from (+ from 1)))
       (should (eq 'diff-added (get-text-property (line-beginning-position) 'face)))
       (should (eq 'diff-added (get-text-property (line-end-position) 'face)))
       (should-not (get-text-property (line-beginning-position 2) 'face))
       (should-not (get-text-property (line-beginning-position 0) 'face)))
     (talk-test-look)
     (should-not (text-property-any (point-min) (point-max) 'anvillm-raw 'diff)))))

;; What an agent says runs through the window: all of it was seen once, and kept its hundreds of faces.
(ert-deftest talk-takes-the-faces-from-what-is-out-of-sight-and-gives-them-again ()
  (talk-test-with
   (let ((text "## Head\n\n- **bold** and `code`\n\n| a | long |\n|---|---|\n| xxx | b |\n")
         (intervals (lambda () (garbage-collect) (nth 2 (assq 'intervals (garbage-collect))))) before)
     (talk-test-tell '(:kind "prompt" :id "p" :text "explain"))
     (set-window-buffer nil "*scratch*")
     (setq before (funcall intervals))
     (dotimes (n 200)
       (talk-test-tell (list :kind "text" :id (format "m%d" n) :text text)
                       (list :kind "edit" :id (format "t%d" n) :path "a.c" :added 1 :removed 1
                             :diff "@@ -1 +1 @@\n-b\n+B\n"))
       (talk-test-look))
     (support-wait (anvillm-work-idle-p))
     (should (< (length anvillm-look--dressed) 50))
     (should (< (/ (- (funcall intervals) before) 200) 25))
     (goto-char (point-min))
     (should (looking-at "You"))
     (search-forward "bold")
     (should-not (get-text-property (1- (point)) 'face))
     (should (equal (concat text "\n") (buffer-substring-no-properties
                                        (progn (search-backward "## Head") (point))
                                        (progn (search-forward "▾ Edit") (match-beginning 0)))))
     (should (equal "  " (get-text-property (progn (search-forward "+B") (1- (point))) 'line-prefix)))
     (should (get-text-property (point) 'anvillm-entry))
     (talk-test-look)
     (should (eq 'diff-added (get-text-property (1- (point)) 'face)))
     (search-backward "bold")
     (should (eq 'anvillm-markdown-bold (get-text-property (point) 'face)))
     (anvillm-drawing () (erase-buffer)) ; while some are about to lose them
     (anvillm-look--tidy)
     (should (<= (length anvillm-look--dressed) 20)))))

;; In a window that shows the end it would be gone at once.
(ert-deftest talk-gives-faces-only-when-what-comes-stays-in-sight ()
  (talk-test-with
   (talk-test-tell '(:kind "text" :id "m" :text "**bold** words"))
   (setq anvillm-follow--due (list (json-encode '(:kind "text" :id "n" :text "more" :seq 9 :turn 1 :ts 1795957322)))
         anvillm-follow--drawing t)
   (anvillm-look-wait t)
   (goto-char (point-min))
   (search-forward "bold")
   (with-silent-modifications
     (anvillm-look (point-min) (point-max))
     (put-text-property (point-min) (point-max) 'fontified t))
   (should-not (get-text-property (1- (point)) 'face))
   (anvillm-follow--draw)
   (should-not (get-text-property (1- (point)) 'fontified)) ; so it is looked at once more
   (talk-test-look)
   (should (eq 'anvillm-markdown-bold (get-text-property (1- (point)) 'face)))))

(defun talk-test-colour (text)
  "Return the face in which TEXT is shown, after point, as a string, or nil."
  (search-forward text)
  (let ((face (get-text-property (1- (point)) 'face)))
    (and face (format "%s" face))))

(ert-deftest talk-shows-texts-and-outputs-in-the-colours-of-a-terminal ()
  (talk-test-with
   (talk-test-tell '(:kind "text" :id "m" :part "plain\n")
                   '(:kind "text" :id "m" :part "a red" :colours [[2 "31"]])
                   '(:kind "text" :id "m" :part "der one\n")
                   '(:kind "text" :id "m" :part "bold, no more, **stars**\n" :colours [[0 "1"] [4 ""]]))
   (let ((check (lambda ()
                  (talk-test-look)
                  (goto-char (point-min))
                  (should-not (talk-test-colour "plain\na "))
                  (dolist (word '("red" "der one"))
                    (should (string-match-p "red" (talk-test-colour word)))
                    (should-not (string-match-p "bold" (format "%s" (get-text-property (1- (point)) 'face)))))
                  (should (string-match-p "red.*bold\\|bold.*red" (talk-test-colour "bold")))
                  (should-not (talk-test-colour ", no more"))
                  (should-not (talk-test-colour "**stars"))))) ; it is no Markdown
     (funcall check)
     (let ((entry (get-text-property (point) 'anvillm-entry)))
       (anvillm-said--pack entry)
       (anvillm-draw-writing (anvillm-draw-again entry))
       (funcall check)))
   (talk-test-tell '(:kind "text" :id "m" :text "**said**")) ; the whole, without any
   (talk-test-look)
   (goto-char (point-min))
   (should (equal "anvillm-markdown-bold" (talk-test-colour "said")))
   (talk-test-tell '(:kind "tool" :id "t" :name "Bash" :title "make")
                   '(:kind "output" :id "t" :text "ok\nfailed: x\n" :colours [[3 "1;31"] [9 "0"]]))
   (goto-char (point-max))
   (re-search-backward "Bash")
   (anvillm-log-toggle-fold)
   (should-not (talk-test-colour "ok"))
   (should (string-match-p "red" (talk-test-colour "failed")))
   (should-not (talk-test-colour ": x"))))

(ert-deftest talk-shows-exchanges-again-that-were-taken-away ()
  (talk-test-with
   (let* ((anvillm-log-size 4000) (anvillm-turns 3) (seq 0)
          (line (lambda (turn kind id text)
                  (json-encode (list :kind kind :id (format "%s%d" id turn) :turn turn :text text :ts 1795957322
                                     :seq (cl-incf seq)))))
          (turns (mapcar (lambda (n)
                           (cons n (concat (funcall line n "prompt" "p" (format "prompt %d" n)) "\n"
                                           (funcall line n "text" "m" (make-string 800 ?x)) "\n")))
                         (number-sequence 1 9))))
     (setq anvillm-older-turns (number-sequence 9 1 -1))
     (dolist (turn turns) (anvillm-follow--came (cdr turn)))
     (should-not (talk-test-has "prompt 3"))
     (should (talk-test-has "older turns"))
     (anvillm-follow--came (concat (funcall line 1 "text" "m" "late") "\n")) ; of what is not shown any more
     (should-not (talk-test-has "late"))
     (cl-letf (((symbol-function 'anvillm-read)
                (lambda (path done)
                  (funcall done (alist-get (string-to-number (nth 2 (split-string path "/"))) turns) nil))))
       (setq anvillm-log-size 100000)
       (anvillm-talk-older)
       (support-wait (anvillm-work-idle-p)))
     (should (talk-test-has "prompt 4"))
     (should (= 1 (how-many "^prompt 9$" (point-min) (point-max)))))))

(ert-deftest talk-keeps-its-place-when-what-is-read-changes ()
  (talk-test-with
   (talk-test-tell '(:kind "tool" :id "t" :name "Bash" :title "make") '(:kind "text" :id "m" :text "one two three"))
   (goto-char (point-min))
   (search-forward "two")
   (set-window-point (get-buffer-window) (point))
   (talk-test-tell '(:kind "output" :id "t" :end "ok" :text "long") '(:kind "text" :id "n" :text "more"))
   (should (equal "two" (buffer-substring (- (point) 3) (point))))
   (goto-char (point-max))
   (talk-test-tell '(:kind "end" :how "answer"))
   (should (= (point) (point-max)))))

(provide 'talk-test)
;;; talk-test.el ends here
