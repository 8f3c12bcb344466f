;;; anvillm-compose.el --- Writing prompts and contexts  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A buffer for something that is going to be sent: a prompt, a context, a
;; message.  What is written stays, in the buffer and in a draft on disk, until
;; the daemon has accepted it.  Nothing in the text is taken out or changed.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'ring)
(require 'anvillm-complete)
(require 'anvillm-enclose)
(require 'anvillm-history)

(defcustom anvillm-compose-mode-function #'text-mode
  "The mode that prompts are written in, such as `markdown-mode'."
  :type 'function
  :group 'anvillm)

(defcustom anvillm-compose-hook nil
  "Run in a new buffer for writing."
  :type 'hook
  :group 'anvillm)

(defvar-local anvillm-compose-send nil
  "Function that sends a text and calls its second argument.
That one takes nil, or the sentence that says why it was not accepted.")
(defvar-local anvillm-compose-title nil "What is written here and to whom.")
(defvar-local anvillm-compose-draft nil "The name of the draft's file.")
(defvar-local anvillm-compose-remember nil
  "Non-nil to put what was sent into the history of prompts.")
(defvar-local anvillm-compose--original ""
  "The text that a new buffer began with: no draft is made of it.")
(defvar-local anvillm-compose--sending nil "Non-nil while the daemon has not answered.")
(defvar-local anvillm-compose--failed nil "Why the text was not accepted.")
(defvar-local anvillm-compose--timer nil "The timer that will write the draft.")
(defvar-local anvillm-compose--index nil "Which entry of the history is shown; nil for none.")
(defvar-local anvillm-compose--aside nil
  "The user's own text while a prompt of the history is shown.")
(defvar-local anvillm-compose-targets nil "Ids of the sessions that a prompt goes to.")

;;;; Drafts

(defun anvillm-compose-draft-file (&optional draft)
  "Return the file of DRAFT, by default of this buffer's."
  (expand-file-name (format "drafts/%s/%s" (secure-hash 'md5 (anvillm-namespace))
                            (or draft anvillm-compose-draft))
                    anvillm-data-directory))

(defun anvillm-compose--text ()
  "Return what is in this buffer."
  (buffer-substring-no-properties (point-min) (point-max)))

(defun anvillm-compose--edited-p ()
  "Return non-nil if what is shown is no longer the prompt of the history."
  (not (equal (anvillm-compose--text) (nth (or anvillm-compose--index 0) anvillm-prompt-history))))

(defun anvillm-compose-write-draft (file text)
  "Write TEXT to FILE, or delete it if there is nothing in it."
  (if (string-blank-p (or text ""))
      (when (file-exists-p file) (delete-file file))
    (with-file-modes #o700 (make-directory (file-name-directory file) t))
    (with-file-modes #o600
      (let ((coding-system-for-write 'utf-8-emacs-unix) (write-region-annotate-functions nil))
        (write-region text nil file nil 'silent)))))

(defun anvillm-compose-save-draft ()
  "Write the draft to disk now, or delete it if there is nothing in it.
A prompt of the history is not a draft until it is edited; then both are kept."
  (interactive)
  (anvillm-compose--cancel-timer)
  (when anvillm-compose-draft
    (let ((file (anvillm-compose-draft-file)) (text (anvillm-compose--text))
          (aside anvillm-compose--aside))
      (when (and anvillm-compose--index (not (anvillm-compose--edited-p)))
        (setq text aside aside nil))
      (anvillm-compose-write-draft file (unless (equal text anvillm-compose--original) text))
      (anvillm-compose-write-draft (concat file ".aside") aside))))

(defun anvillm-compose--delete-draft ()
  "Delete the draft on disk."
  (anvillm-compose--cancel-timer)
  (when anvillm-compose-draft
    (let ((file (anvillm-compose-draft-file)))
      (anvillm-compose-write-draft file nil)
      (anvillm-compose-write-draft (concat file ".aside") nil))))

(defun anvillm-compose--cancel-timer ()
  "Take back what was planned for the draft."
  (when anvillm-compose--timer (cancel-timer (cl-shiftf anvillm-compose--timer nil))))

(defun anvillm-compose--changed (&rest _)
  "The text has changed: the draft is written when the user pauses."
  (setq anvillm-compose--failed nil)
  (unless (or anvillm-compose--timer anvillm-compose--sending)
    (setq anvillm-compose--timer
          (run-with-idle-timer 1 nil (anvillm-here (lambda ()
                                                     (setq anvillm-compose--timer nil)
                                                     (anvillm-compose-save-draft)))))))

(defun anvillm-compose--save-all ()
  "Write all drafts, before Emacs ends."
  (dolist (buffer (buffer-list))
    (when (buffer-local-value 'anvillm-compose-draft buffer)
      (with-current-buffer buffer (anvillm-compose-save-draft))))
  t)

(defun anvillm-compose--load-draft ()
  "Put the draft on disk into this buffer; return non-nil if there was one."
  (let ((file (anvillm-compose-draft-file)))
    (when (file-readable-p file)
      (let ((coding-system-for-read 'utf-8-emacs-unix))
        (erase-buffer)
        (insert-file-contents file)
        (when (file-readable-p (concat file ".aside"))
          (setq anvillm-compose--index 0
                anvillm-compose--aside (with-temp-buffer
                                         (insert-file-contents (concat file ".aside"))
                                         (buffer-string)))))
      (goto-char (point-max))
      t)))

;;;; The mode

(defvar anvillm-compose-mode-map
  (let ((map (make-sparse-keymap)))
    (pcase-dolist (`(,key ,command)
                   '(("C-c C-c" anvillm-compose-accept) ("C-c C-k" anvillm-compose-put-away)
                     ("C-c C-d" anvillm-compose-discard) ("C-c C-a" anvillm-compose-attach)
                     ("C-c C-t" anvillm-compose-retarget) ("C-c C-y" anvillm-yank-picture)
                     ("C-x C-s" anvillm-compose-save-draft)
                     ("M-TAB" completion-at-point) ("C-M-i" completion-at-point)
                     ("M-p" anvillm-compose-previous) ("M-n" anvillm-compose-next)))
      (define-key map (kbd key) command))
    map)
  "Keys where something is written.")

(define-minor-mode anvillm-compose-mode
  "Write something that the daemon gets with \\[anvillm-compose-accept].

\\{anvillm-compose-mode-map}"
  :lighter " Compose"
  :keymap anvillm-compose-mode-map
  (when anvillm-compose-mode
    (setq header-line-format '(:eval (anvillm-literal (anvillm-compose--header))))
    (setq-local anvillm-client t)
    (add-hook 'after-change-functions #'anvillm-compose--changed nil t)
    (add-hook 'kill-buffer-hook #'anvillm-compose-save-draft nil t)
    (add-hook 'kill-emacs-hook #'anvillm-compose--save-all)))
(put 'anvillm-compose-mode 'permanent-local t)

(defun anvillm-compose--header ()
  "Return the header line."
  (concat " " (propertize (or anvillm-compose-title "") 'face 'anvillm-name)
          (cond (anvillm-compose--sending (propertize "  sending..." 'face 'anvillm-waiting))
                (anvillm-compose--failed (propertize (concat "  not accepted: "
                                                             anvillm-compose--failed) 'face
                                                             'anvillm-error))
                (t (substitute-command-keys
                    "  \\[anvillm-compose-accept] sends, \
\\[anvillm-compose-put-away] puts away, \\[anvillm-compose-attach] attaches")))))

(defun anvillm-compose-buffer (draft)
  "Return the buffer where DRAFT is written, or nil."
  (cl-find-if (lambda (b) (equal draft (buffer-local-value 'anvillm-compose-draft b)))
              (buffer-list)))

(defun anvillm-compose-open (name title draft send &optional initial)
  "Show a buffer NAME to write in, about TITLE, kept as DRAFT.
SEND is as `anvillm-compose-send'; INITIAL is the text to begin with, unless
there is a draft.  Return the buffer."
  (let ((buffer (or (and draft (anvillm-compose-buffer draft)) (generate-new-buffer name))))
    (with-current-buffer buffer
      (unless (string-prefix-p name (buffer-name)) (rename-buffer name t))
      (unless anvillm-compose-mode
        (funcall anvillm-compose-mode-function)
        (setq anvillm-compose-draft draft anvillm-compose--original (or initial ""))
        (unless (anvillm-compose--load-draft)
          (insert (or initial "")))
        (set-buffer-modified-p nil)
        (buffer-enable-undo)
        (anvillm-compose-mode)
        (run-hooks 'anvillm-compose-hook))
      (setq anvillm-compose-title title anvillm-compose-send send))
    (pop-to-buffer buffer)
    buffer))

(defun anvillm-compose-accept ()
  "Send what is written here.  It stays until the daemon has accepted it."
  (interactive)
  (when anvillm-compose--sending (user-error "It is being sent already"))
  (let ((text (anvillm-compose--text)))
    (anvillm-compose-save-draft)
    (setq anvillm-compose--sending t anvillm-compose--failed nil buffer-read-only t)
    (condition-case err
        (funcall anvillm-compose-send text (anvillm-compose--when-answered text))
      (error (anvillm-compose--answered (error-message-string err))))
    (force-mode-line-update)))

(defun anvillm-compose--when-answered (text)
  "Return what is to be called with the daemon's answer to TEXT, written here.
If the buffer was killed meanwhile, a draft that was accepted goes all the same,
so that it is not offered again."
  (let ((buffer (current-buffer)) (file (and anvillm-compose-draft (anvillm-compose-draft-file)))
        (title anvillm-compose-title))
    (lambda (failed)
      (cond ((buffer-live-p buffer) (with-current-buffer buffer (anvillm-compose--answered failed)))
            (failed (message "Not accepted: %s: %s" title failed))
            (t (message "Accepted: %s" title)
               (when (and file (file-readable-p file)
                          (equal text (let ((coding-system-for-read 'utf-8-emacs-unix))
                                        (with-temp-buffer (insert-file-contents file)
                                                          (buffer-string)))))
                 (anvillm-compose-write-draft file nil)))))))

(defun anvillm-compose--answered (failed)
  "The daemon has answered: FAILED is why it did not accept, or nil."
  (setq anvillm-compose--sending nil buffer-read-only nil)
  (cond (failed
         (setq anvillm-compose--failed failed)
         (message "Not accepted: %s" failed))
        (t
         (when anvillm-compose-remember
           (anvillm-history-add (anvillm-compose--text)))
         (message "Accepted: %s" anvillm-compose-title)
         (let ((aside anvillm-compose--aside))
           (anvillm-compose--delete-draft)
           ;; What was begun before an old prompt was sent again is still there.
           (when (and aside anvillm-compose-draft)
             (anvillm-compose-write-draft (anvillm-compose-draft-file) aside)))
         (anvillm-compose--quit)))
  (force-mode-line-update))

(defun anvillm-compose--quit ()
  "Kill this buffer and its window's part in it, without making a draft."
  (setq anvillm-compose-draft nil)
  (let ((window (get-buffer-window nil t)))
    (if window (quit-window t window) (kill-buffer))))

(defun anvillm-compose-put-away ()
  "Close this buffer; what is written is kept as a draft for the next time.
What is being sent stays in the buffer until the daemon has answered."
  (interactive)
  (cond (anvillm-compose--sending
         (message "Still being sent: the daemon may still accept it")
         (quit-window nil (get-buffer-window nil t)))
        (t
         (anvillm-compose-save-draft)
         (message (if (file-exists-p (anvillm-compose-draft-file)) "The draft is kept"
                    "Nothing to keep"))
         (anvillm-compose--quit))))

(defun anvillm-compose-discard ()
  "Throw away what is written here, the draft too."
  (interactive)
  (when anvillm-compose--sending (user-error "It is being sent already"))
  (when (or (= (buffer-size) 0) (yes-or-no-p "Throw the draft away? "))
    (anvillm-compose--delete-draft)
    (anvillm-compose--quit)))

;;;; History

(defun anvillm-compose--show-history (step)
  "Show the entry of the history STEP further back.
The user's own text is put aside; an entry that was edited joins the history."
  (anvillm-history-load)
  (let* ((next (+ (or anvillm-compose--index -1) step)) (text (anvillm-compose--text)))
    (when (>= next (length anvillm-prompt-history)) (user-error "No older prompt"))
    (when (< next -1) (user-error "No newer prompt"))
    (cond ((not anvillm-compose--index) (setq anvillm-compose--aside text))
          ((and (anvillm-compose--edited-p) (not (string-blank-p text)))
           (push text anvillm-prompt-history)
           (when (>= next 0) (cl-incf next))))
    (setq anvillm-compose--index (and (>= next 0) next))
    (erase-buffer)
    (insert (if anvillm-compose--index (nth next anvillm-prompt-history)
              (or (cl-shiftf anvillm-compose--aside nil) "")))))

(defun anvillm-compose-previous ()
  "Put the prompt sent before in place of this text."
  (interactive)
  (anvillm-compose--show-history 1))

(defun anvillm-compose-next ()
  "Put the prompt sent after, or your own text, in place of this."
  (interactive)
  (anvillm-compose--show-history -1))

;;;; Prompts

(defun anvillm-compose--names (ids)
  "Return the names of the sessions IDS."
  (mapconcat #'anvillm-name ids ", "))

(defun anvillm-compose--name (ids)
  "Return the name of the buffer of a prompt to the sessions IDS."
  (format "*prompt to %s*" (anvillm-compose--names ids)))

(defun anvillm-compose--send-prompt (text done)
  "Send TEXT to the targets of this buffer, then call DONE."
  (when (string-blank-p text) (user-error "Nothing to send"))
  (let ((buffer (current-buffer)))
    (anvillm-send-prompt
     anvillm-compose-targets text
     (lambda (failed)
       (when (and failed (buffer-live-p buffer))
         (with-current-buffer buffer
           ;; Who has accepted it does not get it again.
           (anvillm-compose--aim (mapcar #'car failed))))
       (funcall done
                (and failed
                     (mapconcat (lambda (f)
                                  (format "%s: %s" (anvillm-name (car f))
                                          (anvillm-sentence (cdr f))))
                                failed "; ")))))))

(defun anvillm-compose--aim (ids)
  "Let what is written here go to the sessions IDS."
  (setq anvillm-compose-targets ids
        anvillm-compose-title (concat "Prompt to " (anvillm-compose--names ids)))
  (when (null (cdr ids)) (setq anvillm-buffer-session (car ids)))
  (force-mode-line-update))

;;;###autoload
(defun anvillm-compose (ids)
  "Write a prompt to the sessions IDS in a buffer of its own."
  (interactive (list (anvillm-current-many "Prompt to: ")))
  (anvillm-compose-with ids nil))

;;;###autoload
(defun anvillm-compose-with (ids text)
  "Write a prompt to the sessions IDS; TEXT is put at the end of the draft."
  (let ((directory (anvillm-directory (car ids))))
    (with-current-buffer (anvillm-compose-open
                          (anvillm-compose--name ids) "" (string-join ids "-")
                          #'anvillm-compose--send-prompt)
      (setq anvillm-compose-remember t)
      (anvillm-compose--aim ids)
      (setq default-directory directory)
      (anvillm-complete-setup)
      (anvillm-enclose-setup)
      (when text
        (goto-char (point-max))
        (unless (bobp) (insert (if (bolp) "\n" "\n\n")))
        (save-excursion (insert text "\n"))
        (unless (bobp) (goto-char (point-max)))))))

(defun anvillm-compose-retarget (id)
  "Let what is written here go to the session ID instead."
  (interactive (list (anvillm-read-session "Prompt to: ")))
  (unless anvillm-compose-targets (user-error "This is not a prompt"))
  (when anvillm-compose--sending (user-error "It is being sent already"))
  (when (or (anvillm-compose-buffer id) (file-exists-p (anvillm-compose-draft-file id)))
    (user-error "There is a draft for %s already" (anvillm-name id)))
  (anvillm-compose--delete-draft)
  (setq anvillm-compose-draft id)
  (anvillm-compose--aim (list id))
  (rename-buffer (anvillm-compose--name (list id)) t)
  (anvillm-compose-save-draft))

;;;; Context

;;;###autoload
(defun anvillm-context (id)
  "Edit the context of the session ID, which is put before what is sent to it."
  (interactive (list (anvillm-current "Context of: ")))
  ;; At once, so that no key typed meanwhile goes elsewhere; saving compares.
  (anvillm-context--edit id (or (anvillm-get id :context) "")))

(defun anvillm-context--edit (id before)
  "Edit the context of session ID, which is BEFORE now."
  (anvillm-compose-open
   (format "*context of %s*" (anvillm-name id)) (concat "Context of " (anvillm-name id))
   (concat "context-" id)
   (lambda (text done)
     (anvillm-read (concat id "/context")
                   (lambda (bytes err)
                     (let ((now (and bytes (decode-coding-string bytes 'utf-8 t))))
                       (cond (err (funcall done (anvillm-sentence err)))
                             ((not (equal now before))
                              (setq before now) ; who sends it again knows
                              (funcall done
                                       (concat "someone changed it meanwhile;"
                                               " sent again, this replaces it")))
                             (t (anvillm-write (concat id "/context") text
                                               (lambda (_ err)
                                                 (funcall done
                                                          (and err (anvillm-sentence err)))))))))))
   before))

(provide 'anvillm-compose)
;;; anvillm-compose.el ends here
