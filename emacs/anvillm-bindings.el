;;; anvillm-bindings.el --- The keys of AnviLLM  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; One table says which key does what in which buffer.  Keymaps, the menu behind
;; a key, the one of the menu bar and the help are made of it.  A letter that acts
;; on a session means the same wherever there is one; `n' and the arrows move,
;; RET opens.  Nothing here needs the rest of the package.

;;; Code:

(require 'cl-lib)
(require 'easymenu)

(defconst anvillm-bindings
  '((session ()
     ("Talk"
      ("p" anvillm-compose "Prompt") ("P" anvillm-prompt "Prompt here")
      ("!" anvillm-answer "Answer") ("l" anvillm-conversation "Conversation")
      ("c" anvillm-context "Context") ("A" anvillm-attach "Attach terminal")
      ("e" anvillm-mail-compose "Write mail"))
     ("Control"
      ("s" anvillm-start "Start") ("t" anvillm-stop "Stop") ("R" anvillm-restart "Restart")
      ("X" anvillm-interrupt "Interrupt") ("K" anvillm-kill "Kill") ("a" anvillm-alias "Alias")
      ("o" anvillm-option "Model, mode") ("k" anvillm-keys "Type keys"))
     ("Look"
      ("v" anvillm-review "Review") ("M-v" anvillm-project-diff "Project's diff")
      ("E" anvillm-proposal "Proposed edit")
      ("Q" anvillm-queue "Queue") ("i" anvillm-inbox "Inbox") ("I" anvillm-archive "Archive")
      ("D" anvillm-dired "Directory") ("W" anvillm-sandbox "Sandbox")
      ("w" anvillm-copy-id "Copy id"))
     ("Its work"
      ("B m" anvillm-merge "Merge") ("B s" anvillm-merge-squash "Merge squashed")
      ("B r" anvillm-merge-rebase "Merge rebased") ("B p" anvillm-push "Push")
      ("B o" anvillm-request "Make a request") ("B u" anvillm-undo "Undo a turn")
      ("B D" anvillm-discard "Discard"))
     ("All"
      ("M-n" anvillm-next-needing "Next that needs me") ("M-p" anvillm-previous-needing "Previous")
      ("j" anvillm-recent "Recent session") ("M-Q" anvillm-waiting "All that waits")
      ("L" anvillm-log "Log of messages") ("b" anvillm-beads "Beads") ("d" anvillm-daemon "Daemon"))
     (nil ("h" anvillm-menu) ("?" anvillm-help) ("q" quit-window)))
    (motion () (nil ("n" next-line) ("?" anvillm-help) ("q" quit-window)))
    (list (session motion)
     (nil ("RET" anvillm-conversation) ("<mouse-2>" anvillm-conversation)
          ("r" anvillm-refresh) ("g" anvillm-refresh)
          ("m" anvillm-mark) ("u" anvillm-unmark) ("U" anvillm-unmark-all)
          ("/" anvillm-filter) ("S" anvillm-sort)))
    (log (session)
     (nil ("RET" anvillm-log-visit) ("<mouse-2>" anvillm-log-visit) ("TAB" anvillm-log-toggle-fold)
          ("n" anvillm-log-next) ("N" anvillm-log-previous)
          ("]" anvillm-log-next) ("[" anvillm-log-previous) ("G" anvillm-log-end)
          ("r" anvillm-log-again) ("g" anvillm-log-again)))
    (ask (session motion)
     (nil ("1" anvillm-ask-choose) ("2" anvillm-ask-choose) ("3" anvillm-ask-choose)
          ("4" anvillm-ask-choose) ("5" anvillm-ask-choose) ("6" anvillm-ask-choose)
          ("7" anvillm-ask-choose) ("8" anvillm-ask-choose) ("9" anvillm-ask-choose)
          ("RET" anvillm-ask-choose-here) ("<mouse-2>" anvillm-ask-choose-here)
          ("C-c C-c" anvillm-ask-send) ("e" anvillm-ask-write) ("v" anvillm-ask-ediff)
          ("TAB" anvillm-ask-next) ("g" anvillm-ask-again) ("r" anvillm-ask-again)))
    (review (session)
     (nil ("RET" anvillm-review-visit) ("c" anvillm-review-comment) ("C-c C-c" anvillm-review-send)
          ("k" anvillm-review-take-back) ("e" anvillm-review-ediff) ("u" anvillm-review-undo)
          ("n" diff-hunk-next) ("N" diff-file-next) ("TAB" anvillm-sections-toggle)
          ("<backtab>" anvillm-sections-cycle) ("g" anvillm-review-refresh)
          ("r" anvillm-review-refresh)
          ("SPC" scroll-up-command) ("DEL" scroll-down-command)))
    (queue (session motion)
     (nil ("RET" anvillm-queue-show) ("<mouse-2>" anvillm-queue-show) ("x" anvillm-queue-drop)
          ("<delete>" anvillm-queue-drop) ("f" anvillm-queue-first) ("e" anvillm-queue-edit)
          ("H" anvillm-hold) ("G" anvillm-go) ("g" anvillm-queue-refresh)
          ("r" anvillm-queue-refresh)))
    (waiting (session motion)
     (nil ("RET" anvillm-waiting-edit) ("e" anvillm-waiting-edit) ("<mouse-2>" anvillm-waiting-edit)
          ("x" anvillm-waiting-drop) ("<delete>" anvillm-waiting-drop) ("f" anvillm-waiting-first)
          ("m" anvillm-waiting-move) ("g" anvillm-waiting-refresh) ("r" anvillm-waiting-refresh)))
    (message (motion)
     (nil ("a" anvillm-mail-complete) ("e" anvillm-mail-reply) ("m" anvillm-mail-compose)
          ("!" anvillm-mail-choose) ("l" anvillm-mail-conversation) ("w" anvillm-mail-copy-id)
          ("M-n" anvillm-next-needing) ("M-p" anvillm-previous-needing) ("d" anvillm-daemon)
          ("p" anvillm-compose) ("P" anvillm-prompt)))
    (mail (message)
     (nil ("RET" anvillm-mail-show) ("<mouse-2>" anvillm-mail-show) ("SPC" anvillm-mail-scroll)
          ("TAB" anvillm-mail-other-box) ("g" anvillm-mail-refresh) ("r" anvillm-mail-refresh)))
    (bead (motion)
     (nil ("N" anvillm-beads-new) ("c" anvillm-beads-claim) ("C" anvillm-beads-close)
          ("f" anvillm-beads-fail) ("o" anvillm-beads-reopen) ("U" anvillm-beads-unclaim)
          (">" anvillm-beads-depend) ("<" anvillm-beads-undepend) ("e" anvillm-beads-edit)
          ("E" anvillm-beads-describe) ("+" anvillm-beads-label) (";" anvillm-beads-comment)
          ("P" anvillm-beads-send) ("w" anvillm-beads-copy-id) ("d" anvillm-daemon)
          ("g" anvillm-bead-refresh) ("r" anvillm-bead-refresh)))
    (beads (bead)
     (nil ("RET" anvillm-bead) ("<mouse-2>" anvillm-bead) ("TAB" anvillm-beads-cycle)
          ("g" anvillm-beads-refresh) ("r" anvillm-beads-refresh)))
    (daemon (motion)
     (nil ("s" anvillm-daemon-start) ("t" anvillm-daemon-stop) ("R" anvillm-daemon-restart)
          ("S" anvillm-daemon-status) ("c" anvillm-daemon-connect) ("x" anvillm-disconnect)
          ("N" anvillm-daemon-namespace) ("T" anvillm-traffic) ("g" anvillm-daemon)
          ("r" anvillm-daemon)))
    (anywhere (session)
     ("Prompt about"
      ("." anvillm-prompt-region "Region") ("f" anvillm-prompt-defun "Function")
      ("x" anvillm-prompt-diagnostic "Diagnostic") ("u" anvillm-prompt-buffer "Buffer")
      ("O" anvillm-prompt-file "File"))
     ("Everywhere"
      ("g" anvillm "List") ("m" anvillm-user-inbox "My inbox") ("T" anvillm-traffic "Traffic"))
     (nil ("p" anvillm-prompt-about) ("l" anvillm-project-conversation) ("r" anvillm)
          ("n" anvillm-next-needing) ("q" nil))))
  "Keys by place: (PLACE (PLACE-INCLUDED...) (TITLE (KEY COMMAND [LABEL])...)...).
Those with a label are in the menus too, below the title.")

;;;; Keymaps

(defun anvillm-bindings--groups (place)
  "Return the groups of PLACE."
  (cddr (assq place anvillm-bindings)))

(defun anvillm-bindings-map (place &optional parent)
  "Return a new keymap for PLACE and what it includes, on top of PARENT."
  (let ((map (make-sparse-keymap))
        (included (mapcar #'anvillm-bindings-map (cadr (assq place anvillm-bindings)))))
    (when (or included parent)
      (set-keymap-parent map (make-composed-keymap included parent)))
    (dolist (group (anvillm-bindings--groups place))
      (pcase-dolist (`(,key ,command . ,_) (cdr group))
        (define-key map (kbd key) command)))
    (when (memq place '(session message bead daemon))
      (easy-menu-define nil map "What can be done with agents." (anvillm-bindings--menu-bar)))
    map))

(defun anvillm-bindings-of (map)
  "Return an alist (COMMAND KEY...) of what MAP and its parents bind."
  (let (rows seen)
    (cl-labels ((walk (map prefix)
                  (map-keymap
                   (lambda (event binding)
                     (let ((key (if (equal prefix "M-")
                                    (concat "M-" (single-key-description event))
                                  (concat prefix (single-key-description event)))))
                       (cond ((memq event '(menu-bar tool-bar)))
                             ((keymapp binding)
                              (walk binding (if (eq event 27) "M-" (concat key " "))))
                             ((and (symbolp binding) binding (commandp binding)
                                   (not (consp event)) (not (member key seen)))
                              (push key seen)
                              (push key (alist-get binding rows))))))
                   map)))
      (walk map ""))
    rows))

;;;; Menus

(defun anvillm-bindings--labelled (place)
  "Return the groups of PLACE that have a title: (TITLE (KEY COMMAND LABEL)...)."
  (cl-remove-if-not #'car (anvillm-bindings--groups place)))

(defun anvillm-bindings--menu-bar ()
  "Return the menu of the menu bar."
  (cons "AnviLLM"
        (mapcar (pcase-lambda (`(,title . ,rows))
                  (cons title (mapcar (pcase-lambda (`(,_ ,command ,label))
                                        (vector label command t))
                                      rows)))
                (append (anvillm-bindings--labelled 'session)
                        (anvillm-bindings--labelled 'anywhere)))))

(defun anvillm-bindings-columns (place)
  "Return the labelled groups of PLACE as columns of `transient-define-prefix'."
  (mapcar (pcase-lambda (`(,title . ,rows))
            (vconcat (list title)
                     (mapcar (pcase-lambda (`(,key ,command ,label)) (list key label command))
                             rows)))
          (anvillm-bindings--labelled place)))

(provide 'anvillm-bindings)
;;; anvillm-bindings.el ends here
