;;; sections-test.el --- A review in Magit's sections  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-review)
(require 'magit-section)

(defconst sections-test-diff
  (concat "diff --git a/one b/one\n--- a/one\n+++ b/one\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n+d\n"
          "diff --git a/two b/two\n--- a/two\n+++ b/two\n@@ -1 +1 @@\n-e\n+f\n"))

(defun sections-test-shown ()
  "Return what is to be seen."
  (let (parts)
    (dotimes (n (buffer-size))
      (unless (invisible-p (1+ n)) (push (char-after (1+ n)) parts)))
    (apply #'string (nreverse parts))))

(ert-deftest sections-of-a-review-fold-files-and-hunks ()
  (support-with-tree 2
    (cl-letf (((symbol-function 'anvillm-read) #'ignore))
      (anvillm-review "00000001"))
    (set-buffer (window-buffer))
    (anvillm-review--draw sections-test-diff)
    (should (equal sections-test-diff (buffer-string)))
    (search-forward "+d")
    (execute-kbd-macro (kbd "TAB"))
    (should (looking-at "@@ -9"))
    (should (equal (string-replace "-c\n+d\n" "" sections-test-diff) (sections-test-shown)))
    (goto-char (point-min))
    (execute-kbd-macro (kbd "TAB"))
    (should (string-prefix-p "diff --git a/one b/one\ndiff --git a/two" (sections-test-shown)))
    (execute-kbd-macro (kbd "TAB"))
    (should (equal (string-replace "-c\n+d\n" "" sections-test-diff) (sections-test-shown)))
    (goto-char (point-max))
    (should (equal "two" (anvillm-review--path)))
    (anvillm-review--draw sections-test-diff)
    (should (equal sections-test-diff (sections-test-shown)))
    (execute-kbd-macro (kbd "<backtab>"))
    (should (string-prefix-p "diff --git a/one b/one\ndiff --git a/two" (sections-test-shown)))
    (anvillm-review--draw "")
    (should-error (anvillm-sections-toggle) :type 'user-error)))

(provide 'sections-test)
;;; sections-test.el ends here
