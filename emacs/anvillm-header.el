;;; anvillm-header.el --- The line above a conversation  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What the line above a conversation tells of its session, and what of it gives way,
;; in a set order, where the window is narrow.

;;; Code:

(require 'anvillm-session)

(defcustom anvillm-header-giving-way
  '(directory backend mode model mail tokens queue context hint)
  "What is left out above a conversation in a narrow window, the first first.
Its name, its state, what the agent does and what is to be said about it stay."
  :type '(repeat symbol)
  :group 'anvillm)

(defconst anvillm-header--least '((name . 24) (doing . 24) (note . 60))
  "What may be cut, the last first, and how much of it stays.
That is so where something else can give way.")

(defun anvillm-header--since (session)
  "Return for how long SESSION has been running, or nothing."
  (let ((since (plist-get session :since)))
    (if (not (and (equal (plist-get session :state) "running") (numberp since))) ""
      (let ((s (max 0 (floor (- (float-time) since))))) (format "  %d:%02d" (/ s 60) (% s 60))))))

(defun anvillm-header--parts (session)
  "Return what is told of SESSION, from left to right.
Each is a cons of a symbol and a text."
  (cl-flet ((behind (mark text &optional after)
                    (if (member text '(nil "")) "" (concat mark (anvillm-one-line text) after)))
            (count (key what) (let ((n (plist-get session key)))
                                (if (and (numberp n) (> n 0)) (format "  %d %s" n what) ""))))
    `((name . ,(concat " " (propertize (anvillm-name (anvillm-id session)) 'face 'anvillm-name)))
      (state . ,(concat "  " (anvillm-state-text session)))
      (since . ,(anvillm-header--since session))
      (doing . ,(if (and (equal (plist-get session :state) "running")
                         (not (equal (plist-get session :doing) "running")) ; once is enough
                         (not (plist-get session :ask)))
                    (behind " · " (plist-get session :doing))
                  ""))
      (hint . ,(if (plist-get session :ask)
                   (substitute-command-keys " (\\[anvillm-answer] answers)")
                 ""))
      (note . ,(behind "  " (string-join (anvillm-remarks session) ", ")))
      (context . ,(behind "  " (anvillm-context-left session) " context left"))
      (queue . ,(count :queued "queued"))
      (mail . ,(count :unread "mail"))
      (backend . ,(behind "  " (plist-get session :backend)))
      (model . ,(behind "  " (plist-get session :model)))
      (mode . ,(behind " " (anvillm-chosen-mode session)))
      (tokens . ,(behind "  " (anvillm-tokens session) " tokens"))
      (directory . ,(behind "  " (abbreviate-file-name (or (plist-get session :cwd) "")))))))

(defun anvillm-header-text (session trouble width)
  "Return what is told of SESSION, and TROUBLE behind it, in WIDTH columns."
  (let* ((parts (cl-remove "" (anvillm-header--parts session) :key #'cdr :test #'equal))
         (giving anvillm-header-giving-way) (room (- width (string-width trouble))))
    (cl-flet ((need () (cl-loop for part in parts sum (anvillm-header--need part))))
      (while (and giving (> (need) room))
        (setq parts (assq-delete-all (pop giving) parts)))
      (setq room (- room (need))))
    (dolist (part (mapcar #'car (if (< room 0) (reverse anvillm-header--least)
                                  anvillm-header--least)))
      (let ((cell (assq part parts)))
        (when cell
          (let* ((needs (anvillm-header--need cell)) (whole (string-width (cdr cell)))
                 (shown (max 2 (min whole (+ needs room)))))
            (setq room (- room (- shown needs)))
            (when (< shown whole)
              (setcdr cell (truncate-string-to-width (cdr cell) shown nil nil "…")))))))
    (concat (mapconcat #'cdr parts "") trouble)))

(defun anvillm-header--need (part)
  "Return how many columns PART takes at least."
  (let ((width (string-width (cdr part))) (least (alist-get (car part) anvillm-header--least)))
    (if least (min width least) width)))

(provide 'anvillm-header)
;;; anvillm-header.el ends here
