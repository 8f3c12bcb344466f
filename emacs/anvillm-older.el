;;; anvillm-older.el --- Turns before those that are shown  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A conversation begins a few turns before its end, however long it is.  The
;; turns before those are read when they are asked for, each drawn a piece at a
;; time before what is there.

;;; Code:

(require 'anvillm-draw)
(require 'anvillm-work)

(defcustom anvillm-turns 10
  "How many turns a conversation begins with.
So many are added when older ones are asked for."
  :type 'natnum
  :group 'anvillm)

(defvar-local anvillm-older-turns nil
  "The numbers of the turns there were when this was opened, the last first.")

(defun anvillm-older--first ()
  "Return the number of the first turn that is shown, or nil."
  (let ((at (point-min)) first)
    (while (and at (not first))
      (let ((entry (get-text-property at 'anvillm-entry)))
        (when (and entry (natnump (anvillm-entry-turn entry)) (> (anvillm-entry-turn entry) 0))
          (setq first (anvillm-entry-turn entry))))
      (setq at (next-single-property-change at 'anvillm-entry)))
    first))

(defun anvillm-older--numbers ()
  "Return the numbers of the exchanges before those that are shown, the last first."
  (let ((first (anvillm-older--first)))
    (if first (cl-remove-if-not (lambda (n) (< n first)) anvillm-older-turns)
      (nthcdr anvillm-turns anvillm-older-turns))))

(defun anvillm-older-offer ()
  "Say at the beginning that there are older exchanges, or say it no longer."
  (anvillm-drawing ((older (length (anvillm-older--numbers))))
    (save-excursion
      (goto-char (point-min))
      (when (get-text-property (point) 'anvillm-older)
        (delete-region (point)
                       (next-single-property-change (point) 'anvillm-older nil (point-max))))
      (when (> older 0)
        (insert-before-markers
         (propertize (format "… %d older turns (RET)\n" older) 'anvillm-older t 'face 'anvillm-id
                     'mouse-face 'highlight))))))

(defun anvillm-talk-older ()
  "Show exchanges before those that are shown."
  (interactive)
  (unless (derived-mode-p 'anvillm-conversation-mode) (user-error "This is not a conversation"))
  (let ((turns (seq-take (anvillm-older--numbers) anvillm-turns)))
    (unless turns (user-error "There are no older turns"))
    (anvillm-older--read turns)))

(defun anvillm-older--read (numbers)
  "Draw those of NUMBERS, the last first, before what is shown."
  (when numbers
    (let ((id anvillm-buffer-session) (number (car numbers)))
      (anvillm-read
       (format "%s/turns/%d/activity" id number)
       (anvillm-here
        (lambda (bytes err)
          (if (and bytes (not (string-empty-p bytes)))
              (anvillm-older--draw number (split-string bytes "\n" t) numbers)
            (if (and err (not (eq (car err) 'anvillm-9p-error)))
                (message "older: %s" (anvillm-sentence err))
              ;; From before there was such a file.
              (anvillm-read (format "%s/turns/%d/prompt" id number)
                            (anvillm-here
                             (lambda (bytes _)
                               (anvillm-older--draw
                                number (list (list :kind "prompt" :id (number-to-string number)
                                                   :turn number
                                                   :text (anvillm-text (or bytes ""))))
                                numbers))))))))))))

(cl-defstruct (anvillm-older--past (:copier nil))
  "An older turn that is being drawn: what is left of it, and where it goes."
  number objects numbers limit readers entries heads (batch (make-hash-table :test #'equal)))

(defun anvillm-older--draw (number objects numbers)
  "Draw OBJECTS of the turn NUMBER before all others, then those of NUMBERS."
  (let ((readers (cl-remove-if-not (lambda (w) (get-text-property (window-point w) 'anvillm-older))
                                   (get-buffer-window-list nil nil t))))
    (anvillm-draw-writing
      (goto-char (point-min))
      (when (get-text-property (point) 'anvillm-older)
        (delete-region (point)
                       (next-single-property-change (point) 'anvillm-older nil (point-max)))))
    (anvillm-older--go-on
     (make-anvillm-older--past :number number :objects objects :numbers numbers :readers readers
                              :limit (copy-marker (point-min) t) :entries anvillm-draw-entries))))

(defun anvillm-older--go-on (past)
  "Draw PAST, a piece at a time."
  (when (anvillm-older--draw-past past)
    (anvillm-work (anvillm-here #'anvillm-older--draw-past) past)))

(defun anvillm-older--draw-past (past)
  "Draw of PAST what can be drawn in a few milliseconds.
Return `again' if more is left."
  ;; Unless all was forgotten meanwhile.
  (when (eq anvillm-draw-entries (anvillm-older--past-entries past))
    (setf (anvillm-older--past-heads past)
          (anvillm-draw-before (anvillm-older--past-limit past) (anvillm-older--past-heads past)
            (anvillm-draw-writing
              (anvillm-work-while (lambda () (anvillm-older--past-objects past))
                                  (lambda () (anvillm-older--take past))))))
    (if (anvillm-older--past-objects past) 'again (anvillm-older--past-drawn past))))

(defun anvillm-older--take (past)
  "Draw the next object of PAST."
  (let* ((object (pop (anvillm-older--past-objects past)))
         (object (if (stringp object) (anvillm-json object) object))
         (key (anvillm-draw-key object)) (batch (anvillm-older--past-batch past)))
    ;; What began in that turn and went on after it is shown already.
    (when (and object (not (equal (plist-get object :kind) "usage"))
               (or (gethash key batch)
                   (memq (gethash key anvillm-draw-entries) '(nil gone))))
      (unless (gethash key batch) (remhash key anvillm-draw-entries))
      (puthash key t batch)
      (anvillm-draw object))))

(defun anvillm-older--past-drawn (past)
  "All of PAST is drawn: go on with the turn before it."
  (let ((limit (anvillm-older--past-limit past)))
    (dolist (w (anvillm-older--past-readers past))
      (when (and (window-live-p w) (eq (window-buffer w) (current-buffer)))
        (set-window-point w limit)))
    (set-marker limit nil))
  (setq anvillm-older-turns (remove (anvillm-older--past-number past) anvillm-older-turns))
  (anvillm-older-offer)
  (anvillm-older--read (cdr (anvillm-older--past-numbers past)))
  nil)

(defun anvillm-older-forget ()
  "Forget how many there are."
  (setq anvillm-older-turns nil))

(provide 'anvillm-older)
;;; anvillm-older.el ends here
