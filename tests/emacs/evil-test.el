;;; evil-test.el --- The keys in Evil's normal state  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'anvillm-talk)
(require 'anvillm-compose)
(require 'anvillm-beads)
(require 'evil)
(anvillm-evil-setup)

(ert-deftest evil-has-its-own-keys-in-the-header-of-a-review ()
  (evil-mode 1)
  (support-with-tree 2
    (cl-letf (((symbol-function 'anvillm-read) #'ignore)) (anvillm-review "00000001"))
    (set-buffer (window-buffer))
    (evil-normalize-keymaps)
    (setq anvillm-stale t)
    (should (string-match-p "old, r reads it again  c comments, g k takes a hunk back" (anvillm-review--header)))))

(ert-deftest evil-has-its-own-keys-where-a-list-is-empty ()
  (evil-mode 1)
  (support-with-tree 2
    (cl-letf (((symbol-function 'anvillm-read) #'ignore)) (anvillm-beads))
    (set-buffer (window-buffer))
    (should (eq 'normal evil-state))
    (evil-normalize-keymaps)
    (anvillm-beads--take "[]" "[]")
    (goto-char (point-min))
    (should (search-forward "No beads.  g N makes one." nil t))
    (pcase-dolist (`(,key . ,command) '(("gN" . anvillm-beads-new) ("c" . anvillm-beads-claim) ("RET" . anvillm-bead)
                                        ("gr" . anvillm-beads-refresh) ("j" . evil-next-line)))
      (should (eq command (key-binding (kbd key)))))))

(ert-deftest evil-leaves-the-keys-of-the-list-and-of-conversations-what-they-are ()
  (evil-mode 1)
  (support-with-tree 2
    (should (eq 'normal evil-state))
    (evil-normalize-keymaps)
    (pcase-dolist (`(,key . ,command)
                   '(("s" . anvillm-start) ("p" . anvillm-compose) ("t" . anvillm-stop) ("K" . anvillm-kill) ("RET" . anvillm-conversation)
                     ("gr" . anvillm-refresh) ("j" . evil-next-line) ("k" . evil-previous-line) ("/" . evil-search-forward)
                     ("G" . evil-goto-line) ("q" . quit-window)))
      (should (eq command (key-binding (kbd key)))))
    (anvillm-conversation "00000001")
    (set-buffer (window-buffer))
    (should (eq 'normal evil-state))
    (evil-normalize-keymaps)
    (pcase-dolist (`(,key . ,command)
                   '(("P" . anvillm-prompt) ("TAB" . anvillm-log-toggle-fold) ("gn" . anvillm-log-next) ("X" . anvillm-interrupt)
                     ("n" . evil-search-next)))
      (should (eq command (key-binding (kbd key)))))
    (anvillm-compose '("00000001"))
    (set-buffer (window-buffer))
    (should (eq 'insert evil-state))))

(provide 'evil-test)
;;; evil-test.el ends here
