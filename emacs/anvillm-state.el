;;; anvillm-state.el --- What there is to say of a session  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The state of a session, what it asks, and what is to be noted about it, in few
;; words and with their faces.

;;; Code:

(require 'anvillm-core)

(declare-function anvillm-proposals-of "anvillm-proposal" (id))
(declare-function anvillm-proposal-file "anvillm-proposal" (proposal))

(defun anvillm-state-text (session)
  "Return the word for SESSION's state, with its face."
  (let ((state (or (plist-get session :state) "?")))
    (cond ((plist-get session :ask) (propertize "asks" 'face 'anvillm-asks))
          (t (propertize state 'face (pcase state
                                       ("idle" 'anvillm-idle)
                                       ("running" 'anvillm-running)
                                       ("error" 'anvillm-error)
                                       (_ 'anvillm-off)))))))

(defun anvillm-model (session)
  "Return the model and the mode of SESSION as far as they are known."
  (string-join (cl-remove-if (lambda (word) (member word '(nil "")))
                             (list (plist-get session :model) (anvillm-chosen-mode session)))
               " "))

(defun anvillm-chosen-mode (session)
  "Return the mode of SESSION, or nil if it is the usual one."
  (let ((mode (plist-get session :mode))) (unless (equal mode "default") mode)))

(defun anvillm-context-left (session)
  "Return how much of the context of SESSION is left, as far as that is known."
  (let ((left (plist-get session :context_left)))
    (if (numberp left) (format "%d%%" left) "")))

(defun anvillm-tokens (session)
  "Return how many tokens SESSION has used, in few characters."
  (let* ((usage (plist-get session :usage))
         (n (+ (or (plist-get usage :input) 0) (or (plist-get usage :output) 0))))
    (cond ((= n 0) "")
          ((< n 1000) (format "%d" n))
          ((< n 1000000) (format "%dk" (/ n 1000)))
          (t (format "%.1fM" (/ n 1000000.0))))))

(defun anvillm-ask-text (session)
  "Return what SESSION asks, in one line."
  (let ((asks (anvillm-asks session)))
    (propertize (concat (if (cdr asks) (format "(%d) " (length asks)) "")
                        (mapconcat (lambda (ask) (anvillm-one-line (or (plist-get ask :text) "")))
                                   asks "; "))
                'face 'bold))) ; legible on every background; `asks' has the colour

(defun anvillm-asks (session)
  "Return the questions that SESSION has open, oldest first."
  (or (append (plist-get session :asks) nil)
      (and (plist-get session :ask) (list (plist-get session :ask)))))

(defun anvillm-note--shown (note session)
  "Return how NOTE, a word of the daemon about SESSION, is shown, or nil."
  (pcase note
    ("ask" (anvillm-ask-text session))
    ("nosandbox" (propertize "NO SANDBOX" 'face 'anvillm-error))
    ("weak" (propertize "weak sandbox" 'face 'anvillm-error))
    ;; An event may have taken away what the note is about.
    ("held" (let ((held (plist-get session :held)))
              (and held (concat "held: " (anvillm-one-line held)))))
    ("error" (let ((error (plist-get session :error)))
               (and error (propertize (anvillm-one-line error) 'face 'anvillm-error))))
    ((or "mail" "queued") nil) ; columns of their own
    (_ note)))

(defvar anvillm-proposals)

(defun anvillm-proposed (id)
  "Return which files the session ID proposes to edit, in a few words, or nil."
  (when (and (bound-and-true-p anvillm-proposals) (fboundp 'anvillm-proposals-of))
    (let ((all (anvillm-proposals-of id)))
      (and all (concat (anvillm-one-line
                        (anvillm-visible
                         (file-name-nondirectory (anvillm-proposal-file (car all)))))
                       (if (cdr all) (format " and %d more" (length (cdr all))) ""))))))

(defun anvillm-remarks (session)
  "Return what is to be said about SESSION, a list, without what it does.
Which notes there are, and in which order, the daemon tells."
  (let* ((notes (plist-get session :notes))
         (said (delq nil (mapcar (lambda (note) (anvillm-note--shown note session)) notes)))
         (proposed (anvillm-proposed (anvillm-id session))))
    (when proposed (push (propertize (concat "proposes " proposed) 'face 'anvillm-waiting) said))
    (unless (cl-intersection notes '("ask" "held" "error") :test #'equal)
      (let ((role (plist-get session :role)) (parent (plist-get session :parent))
            (branch (plist-get session :branch)))
        (setq said
              (append said
                      (and branch (not (equal branch "")) (list (concat "branch " branch)))
                      (and role (not (member role '("" "default"))) (list (concat "role " role)))
                      (and parent (list (concat "of " (anvillm-name parent))))))))
    said))

(defun anvillm-note (session)
  "Return what is to be said about SESSION in one line, and what it does."
  (let ((doing (plist-get session :doing)))
    (string-join
     (append (anvillm-remarks session)
             (unless (or (member doing (list nil "" (plist-get session :state)))
                         (member "ask" (plist-get session :notes)))
               (list (propertize (anvillm-one-line doing) 'face 'anvillm-running))))
     ", ")))

(provide 'anvillm-state)
;;; anvillm-state.el ends here
