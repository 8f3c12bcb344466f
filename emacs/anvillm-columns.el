;;; anvillm-columns.el --- The columns of the list of sessions  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Which columns the list has, how wide each is in a window, and what is in them for
;; a session.

;;; Code:

(require 'anvillm-which)
(require 'anvillm-rows)
(require 'tabulated-list)

(defcustom anvillm-list-columns
  '((name 16) (state 8) (backend 8) (model 14) (when 5) (mail 4) (queue 3) (directory 16) (note 0))
  "Columns of the list and their least widths; the last one takes what is left.
Names and directories get more where there is room; what gives way in a narrow
window is in `anvillm-list-giving-way'.  There is also `id', for sessions that
have a name besides, `context', what is left of it, and `tokens'."
  :type '(repeat (list (choice (const name) (const id) (const state) (const backend) (const model)
                               (const when)
                               (const mail) (const queue) (const directory) (const note)
                               (const context) (const tokens))
                       (integer :tag "Width")))
  :group 'anvillm)

(defcustom anvillm-list-giving-way '(tokens context id model queue mail when backend directory)
  "Columns that are left out in a narrow window, the first first."
  :type '(repeat symbol)
  :group 'anvillm)

(defconst anvillm-list-titles
  '((name . "Name") (id . "Id") (state . "State") (backend . "Backend") (model . "Model")
    (when . "When") (mail . "Mail") (queue . "Que") (context . "Left")
    (tokens . "Tokens") (directory . "Directory") (note . "Note"))
  "Titles of the columns.")

;;;; Columns

(defvar-local anvillm-list-shown-columns nil "The columns that are shown, and their widths now.")

(defvar anvillm-list--directories (make-hash-table :test #'equal)
  "Directories of sessions as they are shown.
To abbreviate one takes as long as the rest of its row.")

(defun anvillm-list--directory (session)
  "Return the directory of SESSION as it is shown."
  (let ((cwd (or (plist-get session :cwd) "")))
    (or (gethash cwd anvillm-list--directories)
        (puthash cwd (abbreviate-file-name cwd) anvillm-list--directories))))

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
                     (directory . ,(lambda (s) (string-width (anvillm-list--directory s))))))
      (let ((cell (assq column columns)))
        (when (and cell (> room 0))
          (let ((more (min room
                           (max 0 (- (apply #'max 0 (mapcar longest (anvillm-sessions)))
                                     (cadr cell))))))
            (setcar (cdr cell) (+ (cadr cell) more))
            (setq room (- room more))))))
    columns))

(defun anvillm-list-arrange (&rest _)
  "Fit the columns to the widest window; return non-nil if they changed."
  (let* ((windows (get-buffer-window-list nil nil t))
         (columns (anvillm-list--layout (if windows
                                            (apply #'max (mapcar #'window-body-width windows))
                                          80))))
    (unless (equal columns anvillm-list-shown-columns)
      (setq anvillm-list-shown-columns columns
            tabulated-list-format
            (vconcat (mapcar (lambda (c) (list (alist-get (car c) anvillm-list-titles) (cadr c) t))
                             columns)))
      (tabulated-list-init-header)
      t)))

(defun anvillm-list--since (session)
  "Return when SESSION began what it does, in seconds since the epoch, or nil."
  (or (plist-get session :since) (plist-get session :changed) (plist-get session :created)))

(defun anvillm-list--when (session)
  "Return for how long SESSION does what it does; where the mouse is, since when."
  (propertize (anvillm-ago (anvillm-list--since session)) 'help-echo #'anvillm-list--help))

(defun anvillm-list--help (_window object position)
  "Return since when the session at POSITION of OBJECT, a list, does what it does."
  (when (bufferp object)
    (with-current-buffer object
      (let ((time (anvillm-list--since
                   (anvillm-session (get-text-property position 'tabulated-list-id)))))
        (and (numberp time) (format-time-string "%a %d %b %H:%M:%S" time))))))

(defun anvillm-list--count (n face)
  "Return N in FACE, or nothing for none."
  (if (and (numberp n) (> n 0)) (propertize (number-to-string n) 'face face) ""))

(defun anvillm-list-cell (column session)
  "Return the text of COLUMN for SESSION."
  (pcase column
    ('name (let ((id (anvillm-id session)))
             (concat (let ((name (propertize (anvillm-name id) 'face 'anvillm-name))
                           (most (- (or (cadr (assq 'name anvillm-list-shown-columns)) 16) 2)))
                       (if (<= (string-width name) most) name
                         ;; The mark has its place behind the name, never in it.
                         (anvillm-rows-fit name most)))
                     (if (anvillm-fresh-p session) (propertize " *" 'face 'anvillm-fresh) ""))))
    ('id (let ((id (anvillm-id session))) ; not twice
           (if (eq (anvillm-name id) id) "" (propertize id 'face 'anvillm-id))))
    ('state (let ((state (anvillm-state-text session)))
              ;; Shown as itself: the line that point is on would take its background.
              (if (plist-get session :ask) (propertize state 'display state) state)))
    ('backend (or (plist-get session :backend) ""))
    ('model (anvillm-one-line (anvillm-model session)))
    ('when (anvillm-list--when session))
    ('mail (anvillm-list--count (plist-get session :unread) 'anvillm-unread))
    ('queue (anvillm-list--count (plist-get session :queued) 'default))
    ('context (anvillm-context-left session))
    ('tokens (anvillm-tokens session))
    ('directory (anvillm-list--directory session))
    ('note (anvillm-note session))))

(defun anvillm-list-column-at-point ()
  "Return the title of the column at point."
  (let ((left (- (current-column) 2)) title)
    (cl-loop for (column width) in anvillm-list-shown-columns
             do (setq title (alist-get column anvillm-list-titles))
             until (or (= width 0) (< left (1+ width)))
             do (setq left (- left width 1)))
    title))

(provide 'anvillm-columns)
;;; anvillm-columns.el ends here
