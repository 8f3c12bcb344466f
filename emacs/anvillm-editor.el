;;; anvillm-editor.el --- What agents ask of this Emacs  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A role may grant that its agents ask this Emacs what it knows: where something
;; is defined, what flymake says, which buffers are modified.  While the link to
;; the daemon is up, Emacs reads what is asked from the file `editor' of each such
;; session, and writes what it answers there.
;;
;; What comes from an agent is hostile.  Only the tools of one table can be asked
;; for, their arguments are checked, nothing is evaluated, no file is visited, and
;; nothing is told of a file that the sandbox of the session does not show it.
;; A tool gives way to the user: when a key is pressed it is begun again later.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)


(defcustom anvillm-answer-agents t
  "Non-nil to answer what agents ask about this Emacs.
Only those may ask whose role or task says so, as in `emacs: [xref, buffers]'."
  :type 'boolean
  :group 'anvillm)

(defconst anvillm-editor-most (* 256 1024) "Most that is told of anything at once, in bytes.")
(defconst anvillm-editor--patience 5 "How long a tool may take, in seconds.")
(defconst anvillm-editor--tries 100 "How often a tool gives way to the user before it gives up.")

(cl-defstruct (anvillm-editor-question (:copier nil) (:conc-name anvillm-editor-question-))
  "What an agent asks: the session, the number, the arguments, and what may be told."
  id number tool arguments cwd scope)

(defvar anvillm-proposals nil "The edits that agents propose and that wait, the oldest first.")

;;;; Attaching

(defvar anvillm-editor--streams (make-hash-table :test #'equal)
  "What is asked by each session, by its id: a stream, or t where it was refused.")

(defun anvillm-editor-watch ()
  "Answer the agents that may ask, from now on."
  (add-hook 'anvillm-session-functions #'anvillm-editor--changed)
  (add-hook 'anvillm-link-hook #'anvillm-editor--link-changed)
  (anvillm-editor--changed nil))

(defun anvillm-editor--link-changed ()
  "Attach to all sessions again when the link is up."
  (pcase (anvillm-link-status)
    ('live (anvillm-editor--changed nil))
    ((or 'lost 'off)
     (clrhash anvillm-editor--streams)
     (setq anvillm-proposals nil))))

(defun anvillm-editor--changed (id)
  "Attach to the session ID, or to any if it is nil, if it may ask, or detach."
  (if id (anvillm-editor--see id)
    (dolist (session (anvillm-sessions)) (anvillm-editor--see (anvillm-id session)))))

(defun anvillm-editor--see (id)
  "Attach to the session ID if it may ask, or detach if it may not."
  (let ((wanted (and anvillm-answer-agents (anvillm-get id :emacs)))
        (stream (gethash id anvillm-editor--streams)))
    (cond ((and wanted (not stream) (eq 'live (anvillm-link-status)))
           (anvillm-editor--attach id))
          ((and stream (not wanted))
           (remhash id anvillm-editor--streams)
           (unless (eq stream t) (anvillm-9p-cancel stream))))))

(defun anvillm-editor--attach (id)
  "Read what the session ID asks."
  (let ((rest nil))
    (puthash id t anvillm-editor--streams) ; what is refused is not tried again
    (puthash id
             (anvillm-9p-stream
              (anvillm-conn) (concat id "/editor")
              (lambda (bytes) (setq rest (anvillm-editor--came id (cons bytes rest))))
              (lambda (err)
                (if (eq (car err) 'anvillm-9p-error) (puthash id t anvillm-editor--streams)
                  (remhash id anvillm-editor--streams))))
             anvillm-editor--streams)))

(defun anvillm-editor--came (id pieces)
  "Take the whole lines of PIECES, the last first, which session ID asks.
Return what is left of them."
  (if (not (string-search "\n" (car pieces))) pieces
    (let* ((lines (split-string (apply #'concat (reverse pieces)) "\n")) (rest (car (last lines))))
      (dolist (line (butlast lines))
        (condition-case err
            (anvillm-editor--asked id (anvillm-json-exact line))
          (error (message "anvillm: %s asks: %s" (anvillm-name id) (error-message-string err)))))
      (if (string-empty-p rest) nil (list rest)))))

;;;; Answering

(defun anvillm-editor--asked (id line)
  "Session ID asks LINE, a plist, or does not wait any more."
  (let ((number (plist-get line :id)))
    (if (plist-get line :over)
        (anvillm-proposal-over id number)
      (let ((question (make-anvillm-editor-question
                       :id id :number number :tool (plist-get line :tool)
                       :arguments (plist-get line :arguments) :cwd (plist-get line :cwd)
                       :scope (anvillm-editor--scope line))))
        (run-with-timer 0 nil #'anvillm-editor--run question anvillm-editor--tries)))))

(defun anvillm-editor--run (question left)
  "Answer QUESTION, or later while the user types; so up to LEFT times."
  (let ((done (condition-case err
                  (while-no-input
                    (list (anvillm-editor--bounded question)))
                (error (list (list :error (error-message-string err)))))))
    (cond ((and (consp done) (car done)) (anvillm-editor-reply question (car done)))
          ((consp done)) ; it will be answered later
          ((> left 0) (run-with-timer 0.3 nil #'anvillm-editor--run question (1- left)))
          (t (anvillm-editor-reply question
                                   (list :error "the user is typing in Emacs; try again"))))))

(defun anvillm-editor--bounded (question)
  "Return the answer to QUESTION, or nil if it will be given later.
Nothing is asked of the user meanwhile, and it takes a few seconds at most."
  (let ((inhibit-interaction t) (inhibit-message t) (non-essential t)
        (enable-local-variables nil) (enable-local-eval nil))
    (with-timeout (anvillm-editor--patience (user-error "Emacs did not answer in time"))
      (anvillm-editor--answer question))))

(defun anvillm-editor--answer (question)
  "Return the answer to QUESTION, or nil if it will be given later."
  (let* ((name (anvillm-editor-question-tool question))
         (row (or (assoc name (anvillm-editor-tools)) (user-error "Emacs has no tool %s" name)))
         (result (funcall (cadr row) question (anvillm-editor--checked question (cddr row)))))
    (and result (list :result result))))

(defun anvillm-editor--checked (question wanted)
  "Return the arguments of QUESTION, a plist, by WANTED.
WANTED is a list of (KEY TYPE [REQUIRED]); of TYPE `file' it is resolved."
  (let ((given (anvillm-editor-question-arguments question)) found)
    (cl-loop for (key _) on given by #'cddr
             unless (assq key wanted) do (user-error "Unknown argument %s" key))
    (pcase-dolist (`(,key ,type ,required) wanted)
      (let ((value (plist-get given key)))
        (when (and required (not value)) (user-error "No %s given" key))
        (when value
          (setq found (plist-put found key (anvillm-editor--typed question key type value))))))
    found))

(defun anvillm-editor--typed (question key type value)
  "Return VALUE, which QUESTION has as KEY, if it is of TYPE."
  (pcase type
    ('natural (if (and (natnump value) (< value most-positive-fixnum)) value
                (user-error "%s must be a number" key)))
    ('file (anvillm-editor--file question value))
    (_ (if (stringp value) value (user-error "%s must be a string" key)))))

(defun anvillm-editor-reply (question reply)
  "Write REPLY, a plist with `:result' or `:error', as the answer to QUESTION."
  (let ((bytes (anvillm-editor--json reply)))
    (when (> (length bytes) (* 4 anvillm-editor-most))
      (setq bytes (anvillm-editor--json (list :error "more than Emacs tells at once"))))
    (setq bytes (concat (format "{\"id\":%d," (anvillm-editor-question-number question))
                        (substring bytes 1)))
    ;; Who asked may have gone meanwhile, and the daemon too.
    (condition-case nil
        (anvillm-write (concat (anvillm-editor-question-id question) "/editor") bytes #'ignore)
      (user-error nil))))

(defun anvillm-editor--json (value)
  "Return VALUE as JSON, in bytes.  It is of plists, vectors, texts and numbers."
  (let ((value (anvillm-editor--whole value)))
    (if (fboundp 'json-serialize) (json-serialize value :false-object :json-false)
      (encode-coding-string (json-encode value) 'utf-8 t))))

(defun anvillm-editor--whole (value)
  "Return VALUE with each byte in its texts that is not a character replaced."
  (cond ((stringp value)
         (if (string-match-p "[^\u0000-\uD7FF\uE000-\U0010FFFF]" value)
             (replace-regexp-in-string "[^\u0000-\uD7FF\uE000-\U0010FFFF]" "\uFFFD"
                                       (string-to-multibyte value) t t)
           value))
        ((vectorp value) (vconcat (mapcar #'anvillm-editor--whole value)))
        ((consp value) (mapcar #'anvillm-editor--whole value))
        (t value)))

;;;; What may be told

(defun anvillm-editor--scope (line)
  "Return (GRANTED . HIDDEN) of LINE, each a list of real directories and files."
  (let ((file-name-handler-alist nil))
    (cl-flet ((real (paths)
                (mapcar #'file-truename (cl-remove-if-not #'file-name-absolute-p paths))))
      (cons (real (plist-get line :paths)) (real (plist-get line :hidden))))))

(defun anvillm-editor--under-p (path top)
  "Return non-nil if PATH is TOP or below it."
  (or (equal path top) (string-prefix-p (file-name-as-directory top) path)))

(defun anvillm-editor-allowed-p (question file)
  "Return non-nil if something of FILE may be told to who asks QUESTION.
FILE is a real name."
  (pcase-let* ((`(,granted . ,hidden) (anvillm-editor-question-scope question))
               (roof nil))
    (dolist (top hidden)
      (when (and (anvillm-editor--under-p file top) (> (length top) (length roof)))
        (setq roof top)))
    (cl-some (lambda (top) (and (anvillm-editor--under-p file top)
                                (or (not roof) (anvillm-editor--under-p top roof))))
             granted)))

(defun anvillm-editor--file (question name)
  "Return the real name of the file that is NAME in QUESTION."
  (unless (and (stringp name) (not (string-match-p "[\0\n]" name)))
    (user-error "Not a file name"))
  (let* ((file-name-handler-alist nil)
         (name (if (string-prefix-p "~" name) (concat "./" name) name))
         (file (file-truename (expand-file-name name (anvillm-editor-question-cwd question)))))
    (unless (anvillm-editor-allowed-p question file)
      (user-error "%s is not visible to this session" name))
    file))

(defun anvillm-editor-real-file (buffer)
  "Return the real name of the file that BUFFER visits.
It is nil for one on another machine, and where there is none."
  (let ((file (and (buffer-local-value 'buffer-file-name buffer)
                   (buffer-local-value 'buffer-file-truename buffer))))
    (and file (not (file-remote-p file)) (expand-file-name file))))

(defun anvillm-editor-buffers (question)
  "Return the buffers of files that QUESTION may hear of, the last used first."
  (cl-remove-if-not (lambda (buffer)
                      (let ((file (anvillm-editor-real-file buffer)))
                        (and file (anvillm-editor-allowed-p question file))))
                    (buffer-list)))

(defun anvillm-editor-buffer (question file)
  "Return the buffer that visits FILE, for QUESTION, or signal a `user-error'."
  (or (cl-find-if (lambda (buffer) (equal file (anvillm-editor-real-file buffer)))
                  (anvillm-editor-buffers question))
      (user-error "%s is not open in Emacs" file)))

(provide 'anvillm-editor)
;;; anvillm-editor.el ends here
