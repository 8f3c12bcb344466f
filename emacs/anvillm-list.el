;;; anvillm-list.el --- The list of sessions, drawn  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The rows of the list: all of them drawn, one of them changed or moved, and their
;; times as they grow older.

;;; Code:

(require 'anvillm-order)

(defun anvillm-list-resized (&rest _)
  "A window on a list has another size."
  (anvillm-list--each (lambda () (when (anvillm-list-arrange) (anvillm-list-draw)))))

;;;; Rows

(defvar-local anvillm-list-marks nil "Ids of the marked sessions.")
(defvar-local anvillm-list-filter nil "Only sessions that match this are shown; nil for all.")
(defvar-local anvillm-list--stale nil "The overlay that shows that the link is down.")

(defun anvillm-list--row (id)
  "Return the line of the session ID."
  (let* ((session (anvillm-session id))
         (line (concat (if (member id anvillm-list-marks) (propertize "* " 'face 'anvillm-mark)
                         "  ")
                       (anvillm-rows-trim
                        (mapconcat (lambda (column)
                                     (let ((cell (anvillm-list-cell (car column) session)))
                                       (cond ((= (cadr column) 0) cell)
                                             ;; What tells directories apart is at their end.
                                             ((eq (car column) 'directory)
                                              (anvillm-rows-fit-tail cell (cadr column)))
                                             (t (anvillm-rows-fit cell (cadr column))))))
                                   anvillm-list-shown-columns " "))
                       "\n")))
    (put-text-property 0 (length line) 'tabulated-list-id id line)
    line))

;;;; Which rows, in which order

(defun anvillm-list--shown-p (session)
  "Return non-nil if SESSION passes the filter."
  (or (not anvillm-list-filter)
      (string-match-p anvillm-list-filter
                      (string-join (cons (anvillm-id session)
                                         (mapcar (lambda (c) (anvillm-list-cell (car c) session))
                                                 anvillm-list-columns))
                                   " "))))

(defun anvillm-list-wanted ()
  "Return the ids to be shown, in order."
  (anvillm-order-of (cl-remove-if-not #'anvillm-list--shown-p (anvillm-sessions))))

;;;; Drawing

(defun anvillm-list-draw ()
  "Redraw all rows; every window stays where it was."
  (anvillm-list-arrange)
  (anvillm-order-forget)
  (anvillm-rows-draw (anvillm-list-wanted) #'anvillm-list--keyed #'anvillm-list--guide)
  (anvillm-list--show-link))

(defun anvillm-list--guide ()
  "Say what to do where there is nothing to show."
  (insert (substitute-command-keys
           (cond ((and (anvillm-sessions) anvillm-list-filter)
                  (concat "\n  No session matches.  "
                           "\\[anvillm-filter] and RET shows all again.\n"))
                 ((eq (anvillm-link-status) 'lost)
                  (format (concat "\n  No daemon at %s.\n\n  "
                                   "\\[anvillm-daemon-start] starts it, "
                                   "\\[anvillm-daemon] shows more.\n")
                          (abbreviate-file-name (anvillm-socket))))
                 ((eq (anvillm-link-status) 'live)
                  (concat "\n  No sessions.\n\n  "
                           "\\[anvillm-start] starts one, \\[anvillm-help] shows all keys.\n"))
                 (t "\n  Connecting...\n")))))

(defun anvillm-list-update (id)
  "Redraw, remove or insert the row of session ID."
  (anvillm-drawing ((session (anvillm-session id)) (at (anvillm-order-row id))
                    (shown (and session (anvillm-list--shown-p session))))
    (cond ((and at shown (equal (get-text-property at 'anvillm-key) (anvillm-list-key session)))
           (anvillm-rows-replace at (anvillm-list--keyed id)))
          ((not (get-text-property (point-min) 'tabulated-list-id))
           (anvillm-list-draw))
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
        (delete-region at (progn (goto-char at) (line-beginning-position 2)))
        (anvillm-order-forget id))
      (when shown
        (setq to (anvillm-order-place id (anvillm-list-key (anvillm-session id))))
        (goto-char to)
        (anvillm-rows-insert (anvillm-list--keyed id))))
    (when to (anvillm-rows-ride riders to))))

(defun anvillm-list--keyed (id)
  "Return the line of session ID with what it is sorted by."
  (anvillm-order-keep id (anvillm-list--row id)))

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

(defun anvillm-list-changed (id)
  "Session ID has changed, or many have if ID is nil."
  (unless (equal id "user")
    (anvillm-list--each (lambda () (if id (anvillm-list-update id) (anvillm-list-draw))))))

(defun anvillm-list-link-changed ()
  "The state of the link has changed."
  (anvillm-list--each (lambda ()
                        (if (get-text-property (point-min) 'tabulated-list-id)
                            (anvillm-list--show-link)
                          (anvillm-list-draw)))))

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
  (anvillm-drawing ((at from) (end (copy-marker to)))
    (while (and at (< at end))
      (let ((id (get-text-property at 'tabulated-list-id)))
        (when (anvillm-session id) (anvillm-rows-replace at (anvillm-list--keyed id))))
      (setq at (next-single-property-change at 'tabulated-list-id nil end)))
    (set-marker end nil)))

(defun anvillm-list-in-sight (&rest _)
  "A list may have come into view: its times grow older from now on."
  (unless anvillm-list--clock (anvillm-list--tick)))

(provide 'anvillm-list)
;;; anvillm-list.el ends here
