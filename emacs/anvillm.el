;;; anvillm.el --- Coding agents in tmux, as a live list  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; Author: the AnviLLM developers
;; Maintainer: the AnviLLM developers
;; Version: 0.2.0
;; Package-Requires: ((emacs "28.1"))
;; Keywords: tools, processes
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; M-x anvillm shows the coding agents that the AnviLLM daemon runs: what each
;; does now, which of them wait for you, and one key for everything that can be
;; done to them.  The list is live; nothing polls, nothing blocks.
;;
;; Bind `anvillm-command-map' to a key to reach the agents from any buffer:
;;
;;   (global-set-key (kbd "C-c v") 'anvillm-command-map)
;;
;; The manual is in Info: M-x anvillm-manual.

;;; Code:

(require 'anvillm-list)
(require 'anvillm-session)
(require 'anvillm-editor)
(require 'anvillm-revert)

;;;; Marks, filter, sorting

(defun anvillm-list--at-line ()
  "Return the id of the session on this line, or signal a `user-error'."
  (or (tabulated-list-get-id) (user-error "No session here")))

(defun anvillm-list--set-mark (on)
  "Mark the session here if ON, else unmark it, and go to the next line."
  (let ((id (anvillm-list--at-line)))
    (setq anvillm-list-marks (if on (cl-adjoin id anvillm-list-marks :test #'equal)
                                (remove id anvillm-list-marks)))
    (anvillm-list-update id)
    (when (save-excursion (forward-line) (tabulated-list-get-id))
      (forward-line))))

(defun anvillm-mark ()
  "Mark the session here; the next t, R, K, X, p, P or w works on all marked ones."
  (interactive)
  (anvillm-list--set-mark t))

(defun anvillm-unmark ()
  "Unmark the session here."
  (interactive)
  (anvillm-list--set-mark nil))

(defun anvillm-unmark-all ()
  "Unmark all sessions."
  (interactive)
  (dolist (id (cl-shiftf anvillm-list-marks nil)) (anvillm-list-update id)))

(defun anvillm-list--marked ()
  "Return the ids of the marked sessions that are shown, in order."
  (when anvillm-list-marks
    (cl-remove-if-not (lambda (id) (and (member id anvillm-list-marks) (anvillm-order-row id)))
                      anvillm-order)))

(defun anvillm-filter (regexp)
  "Show only the sessions of which something matches REGEXP; all if it is empty."
  (interactive (list (read-regexp "Show sessions matching (empty for all): " "")))
  (setq anvillm-list-filter (if (string-empty-p regexp) nil regexp))
  (anvillm-list-draw))

(defun anvillm-sort (&optional column)
  "Sort by the COLUMN at point; again, the other way round; a third time, by age."
  (interactive)
  (let ((name (or column (anvillm-list-column-at-point))))
    (setq tabulated-list-sort-key
          (cond ((not (equal name (car tabulated-list-sort-key))) (cons name nil))
                ((cdr tabulated-list-sort-key) nil)
                (t (cons name t))))
    (tabulated-list-init-header)
    (anvillm-list-draw)))

(defun anvillm-sort-by-click (event)
  "Sort by the column whose title was clicked in EVENT."
  (interactive "e")
  (let* ((position (event-start event)) (object (posn-object position)))
    (with-current-buffer (window-buffer (posn-window position))
      (anvillm-sort (get-text-property (if object (cdr object) (posn-point position))
                                       'tabulated-list-column-name (car object))))))

(defun anvillm-goto (id)
  "Go to the row of session ID."
  (let ((at (anvillm-order-row id)))
    (when at
      (goto-char at)
      (dolist (w (get-buffer-window-list nil nil t)) (set-window-point w at))
      at)))

;;;; The mode

(defvar anvillm-mode-map
  (let ((map (anvillm-bindings-map 'list special-mode-map)))
    (define-key map [remap tabulated-list-col-sort] #'anvillm-sort-by-click)
    map)
  "Keys of the list.")

(define-derived-mode anvillm-mode tabulated-list-mode "AnviLLM"
  "The sessions of the AnviLLM daemon, live.

\\{anvillm-mode-map}"
  :interactive nil
  (setq-local tabulated-list-padding 2
        tabulated-list-sort-key nil
        revert-buffer-function (lambda (&rest _) (anvillm-refresh))
        truncate-lines t
        anvillm-client t
        anvillm-current-function #'tabulated-list-get-id
        anvillm-marked-function #'anvillm-list--marked)
  (setq-local bookmark-make-record-function #'anvillm-bookmark-list)
  (setq-local desktop-save-buffer (lambda (_) t))
  (setq-local imenu-create-index-function #'anvillm-list--imenu)
  (setq-local anvillm-started-functions (list #'anvillm-goto t))
  (add-hook 'anvillm-session-functions #'anvillm-list-changed)
  (add-hook 'anvillm-link-hook #'anvillm-list-link-changed)
  (anvillm-editor-watch)
  (add-hook 'window-buffer-change-functions #'anvillm-list-in-sight nil t)
  (anvillm-window-keeps-text)
  (hl-line-mode)
  (add-hook 'window-size-change-functions #'anvillm-list-resized)
  (anvillm-list-arrange))

(declare-function anvillm-bookmark-list "anvillm-resume")

;;;###autoload
(add-to-list 'desktop-buffer-mode-handlers '(anvillm-mode . anvillm-desktop-restore))
;;;###autoload
(add-to-list 'desktop-buffer-mode-handlers '(anvillm-conversation-mode . anvillm-desktop-restore))

(defun anvillm-list--imenu ()
  "Return an index of the sessions by project."
  (let (index)
    (dolist (id (anvillm-list-wanted))
      (push (cons (anvillm-name id) (copy-marker (anvillm-order-row id)))
            (alist-get (abbreviate-file-name (anvillm-project-root (or (anvillm-get id :cwd) "/")))
                       index nil nil #'equal)))
    (mapcar (lambda (group) (cons (car group) (nreverse (cdr group)))) (nreverse index))))

(defun anvillm-list-buffer ()
  "Return the buffer of the list, made if need be."
  (let ((buffer (get-buffer-create "*anvillm*")))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-mode)
        (anvillm-mode)
        (anvillm-list-draw)))
    buffer))

;;;###autoload
(defun anvillm ()
  "Show the coding agents, live.  Offer to start the daemon if there is none."
  (interactive)
  (let ((buffer (anvillm-list-buffer)))
    (pop-to-buffer-same-window buffer)
    (condition-case nil
        (anvillm-connect)
      (anvillm-9p-lost
       (when (or (eq anvillm-start-daemon t)
                 (and (eq anvillm-start-daemon 'ask)
                      (y-or-n-p (format "No daemon at %s.  Start it? "
                                        (abbreviate-file-name (anvillm-socket))))))
         (anvillm-daemon-start))))))

(provide 'anvillm)
;;; anvillm.el ends here
