;;; extras-test.el --- Consult and Org  -*- lexical-binding: t; -*-

;;; Commentary:

;; Org is that of Emacs.  Consult is a stand-in with the two functions that are used.

;;; Code:

(require 'support)
(require 'anvillm-extras)
(require 'org)
(require 'org-capture)

(defvar consult-buffer-sources nil "As in Consult.")
(defvar extras-test-shown nil "What was shown while one chose.")

(defun consult--buffer-preview ()
  "Return a function that notes what is to be shown."
  (lambda (action buffer) (push (list action buffer) extras-test-shown)))

(defun consult--read (table &rest options)
  "Look at the second of TABLE and choose it, by the functions in OPTIONS."
  (let ((name (nth 1 table)) (state (plist-get options :state)))
    (funcall state 'preview name)
    (funcall state 'exit nil)
    (should (string-match-p "running +shell" (funcall (plist-get options :annotate) "agent-1")))
    name))
(provide 'consult)

(ert-deftest extras-shows-conversations-while-one-chooses ()
  (support-with-tree 2
    (let (extras-test-shown)
      (anvillm-consult)
      (set-buffer (window-buffer))
      (should (equal "00000002" anvillm-buffer-session))
      (should (equal (list (list 'exit nil) (list 'preview (current-buffer))) extras-test-shown)))
    (anvillm-consult-setup)
    (should (equal '(anvillm-consult-source) consult-buffer-sources))
    (should (equal '("agent-1" "agent-2") (funcall (plist-get anvillm-consult-source :items))))))

(ert-deftest extras-stores-links-to-sessions-and-follows-them ()
  (support-with-tree 2
    (anvillm-org-setup)
    (anvillm-goto "00000001")
    (let (org-stored-links)
      (call-interactively #'org-store-link)
      (should (equal "anvil:00000001::agent-1" (caar org-stored-links))))
    ;; By its id, or by its name if that is gone.
    (dolist (link '("anvil:00000001::other" "anvil:ffffffff::agent-1"))
      (switch-to-buffer "*scratch*")
      (org-link-open-from-string link)
      (set-buffer (window-buffer))
      (should (equal "00000001" anvillm-buffer-session)))
    (should-error (org-link-open-from-string "anvil:ffffffff::nobody") :type 'user-error)))

(ert-deftest extras-files-an-answer ()
  (support-with-tree 2
    (let* ((file (expand-file-name "notes.org" dir))
           (org-capture-templates `(("a" "answer" entry (file ,file) "* %a\n%i" :immediate-finish t))))
      (cl-letf (((symbol-function 'anvillm-await-read)
                 (lambda (path) (should (equal "00000001/turns/last/out" path)) "it is done\n"))
                ((symbol-function 'org-capture)
                 (let ((real (symbol-function 'org-capture))) (lambda () (funcall real nil "a")))))
        (anvillm-org-capture "00000001"))
      (should (equal "* [[anvil:00000001::agent-1][agent-1]]\nit is done\n"
                     (with-temp-buffer (insert-file-contents file) (buffer-string))))
      (kill-buffer (find-buffer-visiting file)))))

(provide 'extras-test)
;;; extras-test.el ends here
