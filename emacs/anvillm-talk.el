;;; anvillm-talk.el --- Conversations, as they go on  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The buffer of a conversation: prompts, texts as they grow, tools and what they
;; say, edits, questions.  What comes is followed in anvillm-follow.el and drawn in
;; anvillm-draw.el; here are its mode, its header and what is done at point.

;;; Code:

(require 'anvillm-follow)
(require 'anvillm-editor)

(declare-function anvillm-bookmark-conversation "anvillm-resume")
(declare-function anvillm-ask-choose-here "anvillm-ask" (&optional event))

(defvar-local anvillm-talk--open-asks nil "Ids of the questions that are drawn with their choices.")

;;;; What is at point

(defun anvillm-talk-toggle ()
  "Fold or unfold the entry at point; return nil if it cannot be."
  (let ((entry (get-text-property (point) 'anvillm-entry)))
    (when (and entry (member (anvillm-entry-kind entry) '("tool" "output" "edit" "thinking")))
      (let* ((start (car (anvillm-draw-bounds entry)))
             (open (save-excursion (goto-char start)
                                   (re-search-forward "[▾▸] " (line-end-position 2) t)
                                   (string-prefix-p "▾" (match-string 0)))))
        (setf (anvillm-entry-open entry) (if open 'closed 'open))
        (let ((inhibit-modification-hooks t))
          (save-excursion (anvillm-draw-again entry))
          (goto-char start)
          (when (get-text-property (point) 'anvillm-head) (forward-line)))
        t))))

(defun anvillm-talk-visit ()
  "Act on what is at point: older exchanges, lines left out, or a choice.
Return nil if there is none of these."
  (cond ((get-text-property (point) 'anvillm-older) (anvillm-talk-older) t)
        ((get-text-property (point) 'anvillm-whole) (anvillm-talk--show-whole) t)
        ((get-text-property (point) 'anvillm-choice) (anvillm-ask-choose-here) t)))

(defvar anvillm-output-mode-map
  (let ((map (anvillm-bindings-map 'motion special-mode-map)))
    (define-key map (kbd "RET") #'anvillm-log-visit)
    (define-key map [mouse-2] #'anvillm-log-visit)
    map)
  "Keys where a whole text is shown.")

(define-derived-mode anvillm-output-mode special-mode "AnviLLM-Output"
  "The whole of a text of which a conversation leaves lines out.

\\{anvillm-output-mode-map}"
  :interactive nil
  (setq-local next-error-function #'anvillm-places-next-error
              bidi-display-reordering 'left-to-right
              bidi-inhibit-bpa t)
  (jit-lock-register #'anvillm-places-buttonize))

(defun anvillm-talk--show-whole ()
  "Show the whole of the text at point, of which lines are left out here."
  (let ((text (get-text-property (point) 'anvillm-whole)) (directory default-directory))
    (with-current-buffer (get-buffer-create "*anvillm output*")
      (anvillm-output-mode)
      (setq default-directory directory)
      (anvillm-drawing () (erase-buffer) (insert text))
      (goto-char (point-min)))
    (pop-to-buffer "*anvillm output*")))

;;;; The header

(defvar anvillm-talk--clock nil
  "The timer that counts the seconds while an agent works before the user's eyes.")

(defun anvillm-talk--running-p (buffer)
  "Return non-nil if BUFFER is a conversation with a running agent, in sight."
  (and (eq (buffer-local-value 'major-mode buffer) 'anvillm-conversation-mode)
       (equal "running" (anvillm-get (buffer-local-value 'anvillm-buffer-session buffer) :state))
       (get-buffer-window buffer 'visible)))

(defun anvillm-talk--tick ()
  "Count on, as long as there is anything to be counted."
  (let ((running (cl-remove-if-not #'anvillm-talk--running-p (buffer-list))))
    (dolist (buffer running) (with-current-buffer buffer (force-mode-line-update)))
    (setq anvillm-talk--clock (and running (run-with-timer 1 nil #'anvillm-talk--tick)))))

(defun anvillm-talk--session-changed (id)
  "Session ID, or any if it is nil, may run now, or ask."
  (unless anvillm-talk--clock (anvillm-talk--tick))
  (when id
    (let ((buffer (anvillm-talk--buffer id)))
      (when (and buffer (buffer-local-value 'anvillm-draw-entries buffer))
        (with-current-buffer buffer
          (anvillm-talk--show-asks))))))

(defun anvillm-talk--show-asks ()
  "Draw the questions again that are open, or were a moment ago."
  (let ((open (mapcar (lambda (a) (plist-get a :id))
                      (anvillm-asks (anvillm-session anvillm-buffer-session)))))
    (unless (equal open anvillm-talk--open-asks)
      (let ((changed (cl-set-exclusive-or open anvillm-talk--open-asks :test #'equal)))
        (setq anvillm-talk--open-asks open)
        (anvillm-draw-writing
          (dolist (id changed)
            (let ((entry (gethash (list "ask" id) anvillm-draw-entries)))
              (when entry (anvillm-draw-again entry)))))))))
;;;; The mode

(define-derived-mode anvillm-conversation-mode anvillm-log-mode "AnviLLM-Talk"
  "The conversation of a session, as it goes on.

\\{anvillm-log-mode-map}"
  :interactive nil
  (use-local-map anvillm-log-mode-map)
  (setq anvillm-log-follow-function #'anvillm-follow
        anvillm-log-toggle-function #'anvillm-talk-toggle
        anvillm-log-visit-function #'anvillm-talk-visit
        anvillm-log-forget-function #'anvillm-talk--forget)
  (setq-local bookmark-make-record-function #'anvillm-bookmark-conversation)
  (setq-local desktop-save-buffer
              (lambda (_) (list anvillm-buffer-session (anvillm-name anvillm-buffer-session))))
  (setq anvillm-draw-trimmed-function #'anvillm-older-offer)
  (jit-lock-register #'anvillm-look)
  (add-hook 'window-buffer-change-functions #'anvillm-talk--looked-at nil t)
  (anvillm-editor-watch)
  (add-hook 'anvillm-session-functions #'anvillm-talk--session-changed)
  (add-hook 'anvillm-event-functions #'anvillm-talk--event))

(defun anvillm-talk--forget ()
  "Forget what has been drawn."
  (setq anvillm-talk--open-asks nil)
  (anvillm-follow-forget))

(defun anvillm-talk--looked-at (window)
  "The buffer of WINDOW came into view."
  (with-current-buffer (if (windowp window) (window-buffer window) (current-buffer))
    (when anvillm-buffer-session (anvillm-seen anvillm-buffer-session))))

(defun anvillm-talk--event (event)
  "A response of EVENT that comes before the user's eyes is not news."
  (when (equal (plist-get event :type) "response")
    (let ((buffer (anvillm-talk--buffer (plist-get event :session_id))))
      (when (and buffer (get-buffer-window buffer 'visible))
        (anvillm-seen (plist-get event :session_id))))))

(defun anvillm-talk--buffer (id)
  "Return the buffer of the conversation of session ID, or nil."
  (anvillm-buffer-find id "*anvillm %s*"))

(defun anvillm-conversation-buffer (id &optional name)
  "Return the buffer of the conversation of session ID, made if need be.
NAME is what it is called, where that is not known yet."
  (anvillm-log-open-buffer (anvillm-buffer-get id "*anvillm %s*" name) #'anvillm-conversation-mode
                            (concat id "/log") id))

(defun anvillm-talk-aim (id)
  "Let this buffer follow the conversation of session ID instead."
  (anvillm-buffer-aim id)
  (setq anvillm-log-path (concat id "/log")
        default-directory (anvillm-directory id))
  (anvillm-log-again))

;;;###autoload
(defun anvillm-conversation (id)
  "Show the conversation of the session ID."
  (interactive (list (anvillm-current "Conversation with: ")))
  (anvillm-connect-later)
  (pop-to-buffer (anvillm-conversation-buffer id))
  (anvillm-note-shown id)
  (anvillm-seen id))

(provide 'anvillm-talk)
;;; anvillm-talk.el ends here
