;;; anvillm-proposal.el --- Edits that an agent proposes  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; An agent whose role grants `open_diff' may propose a new content for a file.
;; It is announced, and waits until the user looks at it: what is there and what
;; is proposed are compared in Ediff, where the proposal can be edited.  Accepted
;; or not, the agent is told, with the text as it is then.  Nothing is written to
;; the file.

;;; Code:

(require 'anvillm-editor)

(declare-function ediff-buffers "ediff" (a b &optional hooks job))
(declare-function ediff-really-quit "ediff-util" (reverse-default-keep-variants))

(cl-defstruct (anvillm-proposal (:copier nil) (:conc-name anvillm-proposal-))
  "An edit: the question that it came with, the file, what is there, what is
proposed, and what the user has made of it so far."
  question file now content text control windows)

(defvar-local anvillm-proposal--here nil "The proposal that is edited in this buffer.")

;;;; Coming and going

(defun anvillm-proposal-asked (question arguments)
  "Keep the edit in QUESTION, by ARGUMENTS, until the user has seen it."
  (let ((file (plist-get arguments :file)) (content (plist-get arguments :content)))
    (when (> (string-bytes content) anvillm-editor-most) (user-error "The proposal is too large"))
    (setq anvillm-proposals
          (append anvillm-proposals
                  (list (make-anvillm-proposal
                         :question question :file file :content content :text content
                         :now (anvillm-proposal--now question file)))))
    (let ((id (anvillm-editor-question-id question)) (inhibit-message nil))
      (message "%s proposes an edit of %s: M-x anvillm-proposal shows it"
               (anvillm-name id) (anvillm-proposal--label file))
      (run-hook-with-args 'anvillm-session-functions id))
    nil))

(defun anvillm-proposal--label (file)
  "Return how FILE is called, in one line."
  (anvillm-one-line (anvillm-visible (abbreviate-file-name file))))

(defun anvillm-proposal--now (question file)
  "Return the text of FILE for QUESTION: of its buffer, or else on disk."
  (let ((buffer (ignore-errors (anvillm-editor-buffer question file))))
    (if buffer
        (with-current-buffer buffer
          (save-restriction (widen) (buffer-substring-no-properties (point-min) (point-max))))
      (with-temp-buffer
        (let ((file-name-handler-alist nil) (size (file-attribute-size (file-attributes file))))
          (when (and size (> size (* 4 anvillm-editor-most))) (user-error "%s is too large" file))
          (when (file-regular-p file) (insert-file-contents-literally file))
          (decode-coding-string (buffer-string) 'utf-8 t))))))

;;;###autoload
(defun anvillm-proposal-over (id number)
  "Session ID does not wait any more for what it proposed as NUMBER."
  (dolist (one anvillm-proposals)
    (let ((question (anvillm-proposal-question one)))
      (when (and (equal id (anvillm-editor-question-id question))
                 (equal number (anvillm-editor-question-number question)))
        (setq anvillm-proposals (delq one anvillm-proposals))
        (message "%s no longer waits for the edit of %s" (anvillm-name id)
                 (anvillm-proposal--label (anvillm-proposal-file one)))
        (run-hook-with-args 'anvillm-session-functions id)))))

(defun anvillm-proposals-of (id)
  "Return the proposals of the session ID that wait."
  (cl-remove-if-not (lambda (one)
                      (equal id (anvillm-editor-question-id (anvillm-proposal-question one))))
                    anvillm-proposals))

(defun anvillm-proposal--give (proposal content)
  "Answer PROPOSAL: CONTENT is what was made of it, or nil if it was rejected."
  (let ((question (anvillm-proposal-question proposal)))
    (if (not (memq proposal anvillm-proposals))
        (message "The agent no longer waits for it")
      (setq anvillm-proposals (delq proposal anvillm-proposals))
      (anvillm-editor-reply
       question
       (list :result
             (append (list :file (anvillm-proposal-file proposal)
                           :accepted (if content t :json-false))
                     (and content
                          (list :content content
                                :edited (if (equal content (anvillm-proposal-content proposal))
                                            :json-false t))))))
      (run-hook-with-args 'anvillm-session-functions (anvillm-editor-question-id question))
      (message "%s: %s" (anvillm-proposal--label (anvillm-proposal-file proposal))
               (if content "accepted" "rejected")))))

;;;; Looking at one

(defvar anvillm-proposal-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c C-c") #'anvillm-proposal-accept)
    (define-key map (kbd "C-c C-k") #'anvillm-proposal-reject)
    map)
  "Keys where a proposal is edited.")

(define-minor-mode anvillm-proposal-mode
  "Edit what an agent proposes, and give it back.

\\{anvillm-proposal-mode-map}"
  :lighter " Proposal"
  :keymap anvillm-proposal-mode-map
  (setq header-line-format
        (and anvillm-proposal-mode
             (substitute-command-keys
              " \\<anvillm-proposal-mode-map>\\[anvillm-proposal-accept] accepts it as it is here, \
\\[anvillm-proposal-reject] rejects it"))))

(defun anvillm-proposal--side (name file text)
  "Return a buffer, called NAME after FILE, with TEXT."
  (with-current-buffer (generate-new-buffer (format "*anvillm %s %s*" name
                                                    (file-name-nondirectory file)))
    (insert text)
    (goto-char (point-min))
    (set-buffer-modified-p nil)
    (anvillm-show-unseen)
    (current-buffer)))

;;;###autoload
(defun anvillm-proposal (&optional id)
  "Compare the edit that the session ID proposes with what is there.
Without one at hand it is the oldest proposal of all."
  (interactive (list (anvillm-at-point)))
  (let ((proposal (or (car (and id (anvillm-proposals-of id))) (car anvillm-proposals)
                      (user-error "No agent proposes an edit"))))
    (if (buffer-live-p (anvillm-proposal-control proposal))
        (pop-to-buffer (anvillm-proposal-control proposal))
      (require 'ediff)
      (let* ((file (anvillm-proposal-file proposal))
             (now (anvillm-proposal--side "now" file (anvillm-proposal-now proposal)))
             (new (anvillm-proposal--side "proposed" file (anvillm-proposal-text proposal))))
        (with-current-buffer now (setq buffer-read-only t))
        (with-current-buffer new
          (buffer-enable-undo)
          (setq anvillm-proposal--here proposal)
          (anvillm-proposal-mode))
        (setf (anvillm-proposal-windows proposal) (current-window-configuration))
        (ediff-buffers now new (list (lambda () (anvillm-proposal--begun proposal now new))))))))

(defun anvillm-proposal--begun (proposal now new)
  "This is the control buffer of Ediff for PROPOSAL, in the buffers NOW and NEW."
  (setf (anvillm-proposal-control proposal) (current-buffer))
  (add-hook 'ediff-quit-hook (lambda () (anvillm-proposal--quit proposal now new)) nil t))

(defun anvillm-proposal--quit (proposal now new)
  "Ediff ends, which showed PROPOSAL in the buffers NOW and NEW.
Ask what becomes of it."
  (when (and (memq proposal anvillm-proposals) (buffer-live-p new))
    (pcase (car (read-multiple-choice "Accept the edit, as it is here?"
                                      '((?y "yes") (?n "no, reject it") (?l "later"))))
      (?y (anvillm-proposal--give proposal (with-current-buffer new (anvillm-proposal--text))))
      (?n (anvillm-proposal--give proposal nil))
      (_ (setf (anvillm-proposal-text proposal)
               (with-current-buffer new (anvillm-proposal--text))))))
  (run-with-timer 0 nil (lambda ()
                          (dolist (buffer (list now new))
                            (when (buffer-live-p buffer)
                              (with-current-buffer buffer (set-buffer-modified-p nil))
                              (kill-buffer buffer)))
                          (set-window-configuration (anvillm-proposal-windows proposal)))))

(defun anvillm-proposal--text ()
  "Return what is in this buffer."
  (save-restriction (widen) (buffer-substring-no-properties (point-min) (point-max))))

(defun anvillm-proposal--end (content)
  "Answer the proposal of this buffer with CONTENT, and end its Ediff."
  (let ((proposal (or anvillm-proposal--here (user-error "This is not a proposal"))))
    (anvillm-proposal--give proposal content)
    (let ((control (anvillm-proposal-control proposal)))
      (when (buffer-live-p control)
        (with-current-buffer control (ediff-really-quit nil))))))

(defun anvillm-proposal-accept ()
  "Give back the text here as the accepted edit."
  (interactive)
  (anvillm-proposal--end (anvillm-proposal--text)))

(defun anvillm-proposal-reject ()
  "Tell the agent that its proposal is rejected."
  (interactive)
  (anvillm-proposal--end nil))

(provide 'anvillm-proposal)
;;; anvillm-proposal.el ends here
