;;; log-test.el --- Conversations, mode line, notifications  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-talk)
(require 'anvillm-live)

(defun log-test-line (tree &rest lines)
  "Add LINES to the log of session 1 of TREE."
  (dolist (line lines)
    (process-send-string (tree-process tree) (format "log 00000001 %s\n" line))))

(defmacro log-test-with (&rest body)
  "Run BODY in the conversation of session 1 of a `tree'."
  `(support-with-tree 2
     (anvillm-conversation "00000001")
     ,@body))

(ert-deftest log-shows-turns-as-they-come-and-stays-at-the-end ()
  (log-test-with
   (log-test-line tree "USER 2026-11-22T16:12:50+0000" "\tdo it: ü日本" "" "ASSISTANT 2026-11-22T16:12:59+0000" "\tdone" "\t\tindented" "")
   (support-wait (save-excursion (goto-char (point-min)) (search-forward "\tindented\n" nil t)))
   (goto-char (point-min))
   (should (looking-at "You  Sun 22 Nov"))
   (forward-line)
   (should (looking-at "do it: ü日本$"))
   (anvillm-log-next)
   (should (looking-at "agent-1  "))
   (should (= (window-point) (point)))
   (let ((here (point)))
     (log-test-line tree "USER 2026-11-22T16:13:50+0000" "\tmore" "")
     (support-wait (save-excursion (search-forward "more" nil t)))
     (should (= (point) here)))
   (anvillm-log-end)
   (log-test-line tree "ASSISTANT 2026-11-22T16:14:50+0000" "\tat the end" "")
   (support-wait (save-excursion (goto-char (point-min)) (search-forward "at the end" nil t)))
   (should (= (point) (point-max)))
   (should (equal '("do it: ü日本" "more") (mapcar #'car (anvillm-log--imenu))))))

(ert-deftest log-leaves-reverting-other-buffers-alone ()
  (log-test-with
   (require 'anvillm-daemon)
   (require 'anvillm-beads)
   (with-temp-buffer (anvillm-daemon-mode))
   (with-temp-buffer (anvillm-bead-mode))
   (should (eq #'revert-buffer--default (default-value 'revert-buffer-function)))))

(ert-deftest log-decodes-text-cut-anywhere ()
  (log-test-with
   (let ((bytes (encode-coding-string "USER 2026-11-22T16:12:50+0000\n\taü日本🐟z\n\tend\n" 'utf-8)))
     (dotimes (i (length bytes))
       (anvillm-log-again)
       (anvillm-log--came (substring bytes 0 i))
       (anvillm-log--came (substring bytes i))
       (should (string-suffix-p "\naü日本🐟z\nend\n" (buffer-string)))))))

(ert-deftest log-takes-a-megabyte-without-a-pause ()
  (log-test-with
   (let ((piece (apply #'concat (make-list 300 "\tsome output of an agent, src/a.c:12: like this\n"))))
     (anvillm-log--came "ASSISTANT 2026-11-22T16:12:50+0000\n")
     (dotimes (_ 60)
       (support-quick (anvillm-log--came piece)))
     (dotimes (_ 60)
       (support-quick (anvillm-log--came (make-string 16384 ?x))))
     (support-quick (anvillm-log--came "\n")))))

(ert-deftest log-folds-a-long-block-and-a-long-line ()
  (log-test-with
   (apply #'log-test-line tree "ASSISTANT 2026-11-22T16:12:59+0000"
          (append (mapcar (lambda (n) (format "\tline %d" n)) (number-sequence 1 200)) '("" "USER 2026-11-22T16:13:00+0000")))
   (log-test-line tree (concat "\t" (make-string 9000 ?x)))
   (support-wait (save-excursion (goto-char (point-min)) (search-forward "xxx\n" nil t)))
   (goto-char (point-min))
   (search-forward "line 40")
   (should-not (invisible-p (1- (point))))
   (search-forward "line 100")
   (should (invisible-p (point)))
   (should (string-match-p "160 more lines" (get-char-property (point) 'before-string)))
   (anvillm-log-toggle-fold)
   (should-not (invisible-p (point)))
   (anvillm-log-toggle-fold)
   (should (invisible-p (point)))
   (goto-char (point-max))
   (search-backward "xx\n")
   (should (invisible-p (point)))))

(ert-deftest log-goes-on-after-the-daemon-came-back-without-a-word-twice ()
  (log-test-with
   (log-test-line tree "USER 2026-11-22T16:12:50+0000" "\tfirst" "")
   (support-wait (save-excursion (goto-char (point-min)) (search-forward "first" nil t)))
   (support-stop-tree tree)
   (support-wait (eq 'lost (anvillm-link-status)))
   (setq tree (support-start-tree (tree-socket tree) 2))
   (log-test-line tree "USER 2026-11-22T16:12:50+0000" "\tfirst" "" "ASSISTANT 2026-11-22T16:12:59+0000" "\tsecond" "")
   (support-wait (save-excursion (goto-char (point-min)) (search-forward "second" nil t)))
   (should (= 1 (how-many "first" (point-min) (point-max))))
   (should (= 2 (how-many "^\\(You\\|agent-1\\)  " (point-min) (point-max))))))

(ert-deftest log-visits-the-places-that-are-named ()
  (let ((file (make-temp-file "aref" nil ".c" "one\ntwo\nthree\n")))
    (unwind-protect
        (log-test-with
         (log-test-line tree "ASSISTANT 2026-11-22T16:12:59+0000" "\tnothing here: 12:30" (format "\tsee %s:2:2 and" file)
                        (format "\t%s:3: broken" file) (format "\t  File \"%s\", line 1, in f" file)
                        (format "\tyes/no: it is in (%s)." file) "")
         (support-wait (save-excursion (goto-char (point-min)) (search-forward ")." nil t)))
         (let ((log (current-buffer)))
           (goto-char (point-min))
           (next-error)
           (set-buffer (window-buffer))
           (should (equal file buffer-file-name))
           (should (looking-at "wo"))
           (next-error)
           (set-buffer (window-buffer))
           (should (looking-at "three"))
           (next-error)
           (set-buffer (window-buffer))
           (should (looking-at "one"))
           (previous-error)
           (set-buffer (window-buffer))
           (should (looking-at "three"))
           (next-error)
           (set-buffer (window-buffer))
           (should (looking-at "one"))
           (next-error)
           (set-buffer (window-buffer))
           (should (equal file buffer-file-name))
           (should-error (next-error))
           (pop-to-buffer log)
           (goto-char (point-max))
           (search-backward ").")
           (anvillm-log-visit nil)
           (should (equal file (buffer-file-name (window-buffer))))
           (pop-to-buffer log)
           (goto-char (point-min))
           (search-forward "2:2")
           (backward-char 2)
           (anvillm-log-visit nil)
           (should (looking-at "wo"))
           (kill-buffer (find-buffer-visiting file))))
      (delete-file file))))

(ert-deftest log-of-a-killed-session-says-so ()
  (log-test-with
   (support-publish tree :type "session_end" :session_id "00000001")
   (support-wait (string-match-p "is gone" (anvillm-log--header)))))

(ert-deftest log-keeps-only-so-much ()
  (let ((anvillm-log-size 20000) (anvillm-fold-lines nil))
    (log-test-with
     (dotimes (n 40)
       (log-test-line tree (format "USER 2026-11-22T16:12:%02d+0000" n) (concat "\t" (make-string 1000 ?x)) (format "\tend %d" n) ""))
     (support-wait (save-excursion (goto-char (point-min)) (search-forward "end 39\n" nil t)))
     (should (< (buffer-size) 22000))
     (goto-char (point-min))
     (should (looking-at "… what is older is not kept here\nYou  "))
     (should (= 1 (how-many "older is not kept" (point-min) (point-max)))))))

(ert-deftest live-mode-line-counts-what-needs-me-and-is-clickable ()
  (support-with-tree 5
    (let ((global-mode-string nil))
      (anvillm-mode-line-mode 1)
      (unwind-protect
          (progn
            (should (equal "" anvillm-mode-line-string))
            (support-publish tree :type "ask" :session_id "00000002" :ask '(:text "?" :choices ("a")))
            (support-publish tree :type "response" :session_id "00000001")
            (support-wait (equal " A?1*1" (substring-no-properties anvillm-mode-line-string)))
            (should (eq #'anvillm-next-needing
                        (lookup-key (get-text-property 2 'local-map anvillm-mode-line-string) [mode-line mouse-1])))
            (support-stop-tree tree)
            (support-wait (equal " A-" (substring-no-properties anvillm-mode-line-string))))
        (anvillm-mode-line-mode -1)))))

(ert-deftest live-notifies-of-what-is-worth-it ()
  (support-with-tree 5
    (let* (told (anvillm-notify-function (lambda (title body _) (push (list title body) told))))
      (anvillm-notify-mode 1)
      (unwind-protect
          (progn
            (support-publish tree :type "ask" :session_id "00000002" :ask '(:text "May I?" :choices ("a")))
            (support-publish tree :type "state_change" :session_id "00000001" :state "idle")
            (support-publish tree :type "response" :session_id "00000001")
            (support-publish tree :type "message" :session_id nil :to "user" :from "00000004" :subject "done")
            (support-publish tree :type "error" :session_id "00000004" :error "no luck")
            (support-wait (= 4 (length told)))
            (should (equal '(("agent-2 asks" "May I?") ("agent-1 has answered" "") ("Mail from agent-4" "done")
                             ("agent-4: error" "no luck"))
                           (reverse told))))
        (anvillm-notify-mode -1)))))

;;; What is behind these lines is grey in many themes and in a terminal.
(ert-deftest log-header-and-mode-line-have-no-colour-that-is-made-for-the-frame ()
  (log-test-with
   (support-publish tree :type "ask" :session_id "00000001" :ask '(:id "q" :text "May I?" :choices ("yes" "no")))
   (support-wait (string-match-p "May I?" (anvillm-log--header)))
   (let* ((line (cadr header-line-format)) (text (eval line)) (at 0) faces)
     (while (< at (length text))
       (push (get-text-property at 'face text) faces)
       (setq at (next-single-property-change at 'face text (length text))))
     (should (memq 'anvillm-asks faces))
     (should-not (cl-set-difference faces '(nil bold anvillm-name anvillm-asks anvillm-key help-key-binding))))
   (dolist (face '(anvillm-asks anvillm-alarm))
     (pcase-dolist (`(,_ . ,attributes) (cl-remove-if-not #'listp (face-default-spec face) :key #'car))
       (should (or (plist-get attributes :foreground) (plist-get attributes :inverse-video)))))))

(provide 'log-test)
;;; log-test.el ends here
