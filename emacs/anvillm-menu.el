;;; anvillm-menu.el --- The commands as a menu  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; All commands behind one key, for who does not know the others yet.  This is
;; the only part that needs transient; nothing else loads it.

;;; Code:

(require 'anvillm)
(require 'transient)

(defun anvillm-menu--heading ()
  "Return the heading of the commands on a session: which one they are about."
  (let ((id (anvillm-at-point)) (marked (and anvillm-marked-function (funcall anvillm-marked-function))))
    (cond ((or (cdr marked) (and marked (not (equal (car marked) id))))
           (concat "Marked (p P t R X K w are about these): " (propertize (anvillm-names marked) 'face 'anvillm-name)
                   (if id (concat "; the others about " (anvillm-menu--one id)) "")))
          (id (concat "Session " (anvillm-menu--one id)))
          (t "Session"))))

(defun anvillm-menu--one (id)
  "Return the words for session ID in the heading."
  (format "%s (%s)" (propertize (anvillm-name id) 'face 'anvillm-name) (anvillm-state-text (anvillm-session id))))

(defun anvillm-menu--changed (&rest _)
  "Show in the menu what is so now, if it is open."
  (when (and transient--prefix (eq 'anvillm-menu (oref transient--prefix command))
             (window-live-p transient--window))
    (transient--show)))
(add-hook 'anvillm-session-functions #'anvillm-menu--changed)

;;;###autoload (autoload 'anvillm-menu "anvillm-menu" nil t)
(transient-define-prefix anvillm-menu ()
  "What can be done with agents."
  [:description anvillm-menu--heading
   ["Talk"
    ("p" "Prompt" anvillm-compose)
    ("P" "Prompt here" anvillm-prompt)
    ("!" "Answer" anvillm-answer)
    ("l" "Conversation" anvillm-conversation)
    ("c" "Context" anvillm-context)
    ("A" "Attach terminal" anvillm-attach)]
   ["Control"
    ("s" "Start" anvillm-start)
    ("t" "Stop" anvillm-stop)
    ("R" "Restart" anvillm-restart)
    ("X" "Interrupt" anvillm-interrupt)
    ("o" "Choose model, mode" anvillm-option)
    ("k" "Type keys" anvillm-keys)
    ("K" "Kill" anvillm-kill)
    ("a" "Alias" anvillm-alias)]
   ["Look"
    ("Q" "Queue" anvillm-queue)
    ("i" "Inbox" anvillm-inbox)
    ("I" "Archive" anvillm-archive)
    ("D" "Directory" anvillm-dired)
    ("v" "Review" anvillm-review)
    ("W" "Sandbox" anvillm-sandbox)
    ("w" "Copy id" anvillm-copy-id)]
   ["Its work"
    ("B m" "Merge" anvillm-merge)
    ("B s" "Merge as one commit" anvillm-merge-squash)
    ("B r" "Rebase and merge" anvillm-merge-rebase)
    ("B p" "Push" anvillm-push)
    ("B o" "Make a request" anvillm-request)
    ("B u" "Undo a turn" anvillm-undo)
    ("B D" "Discard" anvillm-discard)]]
  [["Prompt about"
    ("r" "Region" anvillm-prompt-region)
    ("f" "Function" anvillm-prompt-defun)
    ("e" "Diagnostic" anvillm-prompt-diagnostic)
    ("O" "File" anvillm-prompt-file)]
   ["All"
    ("g" "List" anvillm)
    ("n" "Next that needs me" anvillm-next-needing)
    ("u" "My inbox" anvillm-user-inbox)
    ("M-Q" "All that waits" anvillm-waiting)
    ("m" "Write mail" anvillm-mail-compose)]
   ["More"
    ("L" "Log of messages" anvillm-log)
    ("b" "Beads" anvillm-beads)
    ("d" "Daemon" anvillm-daemon)
    ("T" "Traffic" anvillm-traffic)]])

(provide 'anvillm-menu)
;;; anvillm-menu.el ends here
