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

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-option)
(require 'anvillm-editor)
(require 'anvillm-rows)
(require 'anvillm-revert)
(require 'tabulated-list)

(defcustom anvillm-list-columns
  '((name 16) (state 8) (backend 8) (model 14) (when 5) (mail 4) (queue 3) (directory 16) (note 0))
  "Columns of the list and their least widths; the last one takes what is left.
Names and directories get more where there is room; what gives way in a narrow
window is in `anvillm-list-giving-way'.  There is also `id', for sessions that
have a name besides, and `tokens'."
  :type '(repeat (list (choice (const name) (const id) (const state) (const backend) (const model)
                               (const when)
                               (const mail) (const queue) (const directory) (const note)
                               (const tokens))
                       (integer :tag "Width")))
  :group 'anvillm)

(defcustom anvillm-list-giving-way '(tokens id model queue mail when backend directory)
  "Columns that are left out in a narrow window, the first first."
  :type '(repeat symbol)
  :group 'anvillm)

(defcustom anvillm-list-needing-first t
  "Non-nil to list the sessions first that need you.
They ask, have failed, are held or wrote to you.  Where the list is sorted by a
column, that counts."
  :type 'boolean
  :group 'anvillm)

(defconst anvillm-list--titles
  '((name . "Name") (id . "Id") (state . "State") (backend . "Backend") (model . "Model")
    (when . "When") (mail . "Mail")
    (queue . "Que") (tokens . "Tokens") (directory . "Directory") (note . "Note"))
  "Titles of the columns.")

;;;; Columns

(defvar-local anvillm-list--columns nil "The columns that are shown, and their widths now.")

(defun anvillm-list--layout (width)
  "Return the columns that fit into WIDTH, and how wide each is."
  (let* ((columns (mapcar #'copy-sequence anvillm-list-columns))
         (need (lambda () (+ 2 (cl-loop for (_ w) in columns sum (if (= w 0) 10 (1+ w))))))
         (giving anvillm-list-giving-way) room)
    (while (and giving (> (funcall need) width))
      (setq columns (assq-delete-all (pop giving) columns)))
    (setq room (max 0 (- width (funcall need))))
    (pcase-dolist (`(,column . ,longest)
                   `((name . ,(lambda (s) (+ 2 (string-width (anvillm-name (anvillm-id s))))))
                     (directory . ,(lambda (s)
                                     (string-width
                                      (abbreviate-file-name (or (plist-get s :cwd) "")))))))
      (let ((cell (assq column columns)))
        (when (and cell (> room 0))
          (let ((more (min room
                           (max 0 (- (apply #'max 0 (mapcar longest (anvillm-sessions)))
                                     (cadr cell))))))
            (setcar (cdr cell) (+ (cadr cell) more))
            (setq room (- room more))))))
    columns))

(defun anvillm-list--arrange (&rest _)
  "Fit the columns to the widest window; return non-nil if they changed."
  (let* ((windows (get-buffer-window-list nil nil t))
         (columns (anvillm-list--layout (if windows
                                            (apply #'max (mapcar #'window-body-width windows))
                                          80))))
    (unless (equal columns anvillm-list--columns)
      (setq anvillm-list--columns columns
            tabulated-list-format
            (vconcat (mapcar (lambda (c) (list (alist-get (car c) anvillm-list--titles) (cadr c) t))
                             columns)))
      (tabulated-list-init-header)
      t)))

(defun anvillm-list--resized (&rest _)
  "A window on a list has another size."
  (anvillm-list--each (lambda () (when (anvillm-list--arrange) (anvillm-list--draw)))))

;;;; Rows

(defvar-local anvillm-list--marks nil "Ids of the marked sessions.")
(defvar-local anvillm-list-filter nil "Only sessions that match this are shown; nil for all.")
(defvar-local anvillm-list--stale nil "The overlay that shows that the link is down.")

(defun anvillm-list--changed-at (session)
  "Return when SESSION changed, in seconds since the epoch, or nil."
  (or (plist-get session :changed) (plist-get session :created)))

(defun anvillm-list--when (session)
  "Return how long ago SESSION changed; the time is shown where the mouse is."
  (propertize (anvillm-ago (anvillm-list--changed-at session)) 'help-echo #'anvillm-list--help))

(defun anvillm-list--help (_window object position)
  "Return when the session at POSITION of OBJECT, a list, changed."
  (when (bufferp object)
    (with-current-buffer object
      (let ((time (anvillm-list--changed-at
                   (anvillm-session (get-text-property position 'tabulated-list-id)))))
        (and (numberp time) (format-time-string "%a %d %b %H:%M:%S" time))))))

(defun anvillm-list--count (n face)
  "Return N in FACE, or nothing for none."
  (if (and (numberp n) (> n 0)) (propertize (number-to-string n) 'face face) ""))

(defun anvillm-list--cell (column session)
  "Return the text of COLUMN for SESSION."
  (pcase column
    ('name (let ((id (anvillm-id session)))
             (concat (let ((name (propertize (anvillm-name id) 'face 'anvillm-name))
                           (most (- (or (cadr (assq 'name anvillm-list--columns)) 16) 2)))
                       (if (<= (string-width name) most) name
                         ;; The mark has its place behind the name, never in it.
                         (anvillm-rows-fit name most)))
                     (if (anvillm-fresh-p session) (propertize " *" 'face 'anvillm-fresh) ""))))
    ('id (let ((id (anvillm-id session))) ; not twice
           (if (eq (anvillm-name id) id) "" (propertize id 'face 'anvillm-id))))
    ('state (anvillm-state-text session))
    ('backend (or (plist-get session :backend) ""))
    ('model (anvillm-option-text (anvillm-id session)))
    ('when (anvillm-list--when session))
    ('mail (anvillm-list--count (plist-get session :unread) 'anvillm-unread))
    ('queue (anvillm-list--count (plist-get session :queued) 'default))
    ('tokens (anvillm-tokens session))
    ('directory (abbreviate-file-name (or (plist-get session :cwd) "")))
    ('note (anvillm-note session))))

(defun anvillm-list--row (id)
  "Return the line of the session ID."
  (let* ((session (anvillm-session id))
         (line (concat (if (member id anvillm-list--marks) (propertize "* " 'face 'anvillm-mark)
                         "  ")
                       (anvillm-rows-trim
                        (mapconcat (lambda (column)
                                     (let ((cell (anvillm-list--cell (car column) session)))
                                       (cond ((= (cadr column) 0) cell)
                                             ;; What tells directories apart is at their end.
                                             ((eq (car column) 'directory)
                                              (anvillm-rows-fit-tail cell (cadr column)))
                                             (t (anvillm-rows-fit cell (cadr column))))))
                                   anvillm-list--columns " "))
                       "\n")))
    (put-text-property 0 (length line) 'tabulated-list-id id line)
    line))

;;;; Which rows, in which order

(defun anvillm-list--shown-p (session)
  "Return non-nil if SESSION passes the filter."
  (or (not anvillm-list-filter)
      (string-match-p anvillm-list-filter
                      (string-join (cons (anvillm-id session)
                                         (mapcar (lambda (c) (anvillm-list--cell (car c) session))
                                                 anvillm-list-columns))
                                   " "))))

(defun anvillm-list--key (session)
  "Return what SESSION is sorted by, a string or number, or nil."
  (pcase (car (rassoc (car tabulated-list-sort-key) anvillm-list--titles))
    ('nil (and anvillm-list-needing-first
               (pcase (anvillm-needs session) ('ask 0) ('error 1) ('held 2) ('mail 3) (_ 4))))
    ('when (or (plist-get session :changed) 0))
    ('mail (or (plist-get session :unread) 0))
    ('queue (or (plist-get session :queued) 0))
    (column (downcase (substring-no-properties (anvillm-list--cell column session))))))

(defun anvillm-list--less-p (a b)
  "Return non-nil if the key A comes before B."
  (if (numberp a) (< a b) (string-lessp a b)))

(defun anvillm-list--wanted ()
  "Return the ids to be shown, in order."
  (let ((sessions (cl-remove-if-not #'anvillm-list--shown-p (anvillm-sessions))))
    (if (not (or tabulated-list-sort-key anvillm-list-needing-first))
        (mapcar #'anvillm-id sessions)
      (let ((rows (mapcar (lambda (s) (cons (anvillm-list--key s) (anvillm-id s))) sessions)))
        ;; Sorting is stable: equals stay in the order they were made.
        (mapcar #'cdr (if (cdr tabulated-list-sort-key)
                          (sort rows (lambda (a b) (anvillm-list--less-p (car b) (car a))))
                        (sort rows (lambda (a b) (anvillm-list--less-p (car a) (car b))))))))))

;;;; Drawing

(defun anvillm-list--draw ()
  "Redraw all rows; every window stays where it was."
  (anvillm-list--arrange)
  (anvillm-rows-draw (anvillm-list--wanted) #'anvillm-list--keyed #'anvillm-list--guide)
  (anvillm-list--show-link))

(defun anvillm-list--guide ()
  "Say what to do where there is nothing to show."
  (insert (substitute-command-keys
           (cond ((and (anvillm-sessions) anvillm-list-filter)
                  (concat "\n  No session matches.  \\<anvillm-mode-map>"
                           "\\[anvillm-filter] and RET shows all again.\n"))
                 ((eq (anvillm-link-status) 'lost)
                  (format (concat "\n  No daemon at %s.\n\n  \\<anvillm-mode-map>"
                                   "\\[anvillm-daemon-start] starts it, "
                                   "\\[anvillm-daemon] shows more.\n")
                          (abbreviate-file-name (anvillm-socket))))
                 ((eq (anvillm-link-status) 'live)
                  (concat "\n  No sessions.\n\n  \\<anvillm-mode-map>"
                           "\\[anvillm-start] starts one, \\[anvillm-help] shows all keys.\n"))
                 (t "\n  Connecting...\n")))))

(defun anvillm-list--update (id)
  "Redraw, remove or insert the row of session ID."
  (let* ((inhibit-read-only t) (session (anvillm-session id)) (at (anvillm-rows-at id))
         (shown (and session (anvillm-list--shown-p session))))
    (cond ((and at shown (equal (get-text-property at 'anvillm-key) (anvillm-list--key session)))
           (anvillm-rows-replace at (anvillm-list--keyed id)))
          ((not (get-text-property (point-min) 'tabulated-list-id))
           (anvillm-list--draw))
          ((or at shown)
           (anvillm-list--move id at shown)
           (when (= (point-min) (point-max)) (anvillm-list--guide))))
    (anvillm-list--show-link)))

(defun anvillm-list--move (id at shown)
  "Take the row of session ID from AT, if it is there, and put it where it belongs.
Not if it is not SHOWN.  A point on the row goes with it."
  (let* ((riders (and at (anvillm-rows-riders at))) to)
    (save-excursion
      (when at
        (delete-region at (progn (goto-char at) (line-beginning-position 2))))
      (when shown
        (goto-char (or (let ((next (cadr (member id (anvillm-list--wanted)))))
                         (and next (anvillm-rows-at next)))
                       (point-max)))
        (setq to (point))
        (anvillm-rows-insert (anvillm-list--keyed id))))
    (when to (anvillm-rows-ride riders to))))

(defun anvillm-list--keyed (id)
  "Return the line of session ID with what it is sorted by."
  (let ((line (anvillm-list--row id)))
    (put-text-property 0 (length line) 'anvillm-key (anvillm-list--key (anvillm-session id)) line)
    line))

(defun anvillm-list--show-link ()
  "Show the state of the link: stale rows are grey."
  (let ((text (anvillm-link-text)))
    (setq mode-line-process
          (anvillm-literal (concat (and anvillm-list-filter (format " /%s/" anvillm-list-filter))
                                   (and text
                                        (propertize (concat " " text) 'face 'anvillm-waiting)))))
    (if (memq (anvillm-link-status) '(lost silent))
        (if anvillm-list--stale
            (move-overlay anvillm-list--stale (point-min) (point-max))
          (setq anvillm-list--stale (make-overlay (point-min) (point-max) nil nil t))
          (overlay-put anvillm-list--stale 'face 'anvillm-off))
      (when anvillm-list--stale
        (delete-overlay (cl-shiftf anvillm-list--stale nil))))))

(defun anvillm-list--each (function)
  "Call FUNCTION in every list buffer."
  (dolist (buffer (buffer-list))
    (when (eq (buffer-local-value 'major-mode buffer) 'anvillm-mode)
      (with-current-buffer buffer (funcall function)))))

(defun anvillm-list--changed (id)
  "Session ID has changed, or many have if ID is nil."
  (unless (equal id "user")
    (anvillm-list--each (lambda () (if id (anvillm-list--update id) (anvillm-list--draw))))))

(defun anvillm-list--link-changed ()
  "The state of the link has changed."
  (anvillm-list--each (lambda ()
                        (if (get-text-property (point-min) 'tabulated-list-id)
                            (anvillm-list--show-link)
                          (anvillm-list--draw)))))

;;;; Time goes by

(defvar anvillm-list--clock nil "The timer that lets times grow older while a list is in sight.")

(defun anvillm-list--tick ()
  "Draw the times again that are in sight, and again in a minute; else no more."
  (setq anvillm-list--clock nil)
  (let (shown)
    (anvillm-list--each
     (lambda ()
       (dolist (window (get-buffer-window-list nil nil 'visible))
         (setq shown t)
         (anvillm-list--age (window-start window) (window-end window)))))
    (when shown (setq anvillm-list--clock (run-with-timer 60 nil #'anvillm-list--tick)))))

(defun anvillm-list--age (from to)
  "Draw the rows between FROM and TO again where their times are others now."
  (let ((inhibit-read-only t) (at from) (end (copy-marker to)))
    (while (and at (< at end))
      (let ((id (get-text-property at 'tabulated-list-id)))
        (when (anvillm-session id) (anvillm-rows-replace at (anvillm-list--keyed id))))
      (setq at (next-single-property-change at 'tabulated-list-id nil end)))
    (set-marker end nil)))

(defun anvillm-list--in-sight (&rest _)
  "A list may have come into view: its times grow older from now on."
  (unless anvillm-list--clock (anvillm-list--tick)))

;;;; Marks, filter, sorting

(defun anvillm-list--at-line ()
  "Return the id of the session on this line, or signal a `user-error'."
  (or (tabulated-list-get-id) (user-error "No session here")))

(defun anvillm-list--set-mark (on)
  "Mark the session here if ON, else unmark it, and go to the next line."
  (let ((id (anvillm-list--at-line)))
    (setq anvillm-list--marks (if on (cl-adjoin id anvillm-list--marks :test #'equal)
                                (remove id anvillm-list--marks)))
    (anvillm-list--update id)
    (when (save-excursion (forward-line) (tabulated-list-get-id))
      (forward-line))))

(defun anvillm-mark ()
  "Mark the session here; the next t, R, K, X, p, P or w works on all marked ones."
  (interactive)
  (anvillm-list--set-mark t))

(defun anvillm-unmark ()
  "Take the mark of the session here away."
  (interactive)
  (anvillm-list--set-mark nil))

(defun anvillm-unmark-all ()
  "Unmark all sessions."
  (interactive)
  (dolist (id (cl-shiftf anvillm-list--marks nil)) (anvillm-list--update id)))

(defun anvillm-list--marked ()
  "Return the ids of the marked sessions that are shown, in order."
  (when anvillm-list--marks
    (cl-remove-if-not (lambda (id) (and (member id anvillm-list--marks) (anvillm-rows-at id)))
                      anvillm-order)))

(defun anvillm-filter (regexp)
  "Show only the sessions of which something matches REGEXP; all if it is empty."
  (interactive (list (read-regexp "Show sessions matching (empty for all): " "")))
  (setq anvillm-list-filter (if (string-empty-p regexp) nil regexp))
  (anvillm-list--draw))

(defun anvillm-sort (&optional column)
  "Sort by the COLUMN at point; again, the other way round; a third time, by age."
  (interactive)
  (let ((name (or column (anvillm-list--column-at-point))))
    (setq tabulated-list-sort-key
          (cond ((not (equal name (car tabulated-list-sort-key))) (cons name nil))
                ((cdr tabulated-list-sort-key) nil)
                (t (cons name t))))
    (tabulated-list-init-header)
    (anvillm-list--draw)))

(defun anvillm-list--column-at-point ()
  "Return the title of the column at point."
  (let ((left (- (current-column) 2)) title)
    (cl-loop for (column width) in anvillm-list--columns
             do (setq title (alist-get column anvillm-list--titles))
             until (or (= width 0) (< left (1+ width)))
             do (setq left (- left width 1)))
    title))

(defun anvillm-sort-by-click (event)
  "Sort by the column whose title was clicked in EVENT."
  (interactive "e")
  (let* ((position (event-start event)) (object (posn-object position)))
    (with-current-buffer (window-buffer (posn-window position))
      (anvillm-sort (get-text-property (if object (cdr object) (posn-point position))
                                       'tabulated-list-column-name (car object))))))

(defun anvillm-goto (id)
  "Go to the row of session ID."
  (let ((at (anvillm-rows-at id)))
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
  (add-hook 'anvillm-session-functions #'anvillm-list--changed)
  (add-hook 'anvillm-link-hook #'anvillm-list--link-changed)
  (anvillm-option-watch)
  (anvillm-editor-watch)
  (add-hook 'window-buffer-change-functions #'anvillm-list--in-sight nil t)
  (hl-line-mode)
  (add-hook 'window-size-change-functions #'anvillm-list--resized)
  (anvillm-list--arrange))

(declare-function anvillm-bookmark-list "anvillm-resume")

;;;###autoload
(add-to-list 'desktop-buffer-mode-handlers '(anvillm-mode . anvillm-desktop-restore))
;;;###autoload
(add-to-list 'desktop-buffer-mode-handlers '(anvillm-conversation-mode . anvillm-desktop-restore))

(defun anvillm-list--imenu ()
  "Return an index of the sessions by project."
  (let (index)
    (dolist (id (anvillm-list--wanted))
      (push (cons (anvillm-name id) (copy-marker (anvillm-rows-at id)))
            (alist-get (abbreviate-file-name (anvillm-project-root (or (anvillm-get id :cwd) "/")))
                       index nil nil #'equal)))
    (mapcar (lambda (group) (cons (car group) (nreverse (cdr group)))) (nreverse index))))

(defun anvillm-list-buffer ()
  "Return the buffer of the list, made if need be."
  (let ((buffer (get-buffer-create "*anvillm*")))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-mode)
        (anvillm-mode)
        (anvillm-list--draw)))
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

;;;###autoload
(defun anvillm-manual ()
  "Read the manual."
  (interactive)
  (info "(anvillm)"))

(provide 'anvillm)
;;; anvillm.el ends here
