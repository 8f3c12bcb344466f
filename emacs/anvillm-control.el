;;; anvillm-control.el --- What is done to sessions  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Sessions are stopped, restarted, interrupted, named and prompted here.  What is
;; about to be acted on is named, and what cannot be taken back asks first.

;;; Code:

(require 'anvillm-history)
(require 'anvillm-which)

;;;; Control

(defun anvillm-names (ids)
  "Return the names of the sessions IDS, in one line; of many the first few."
  (let ((more (- (length ids) 6)))
    (concat (if (cdr ids) (format "%d sessions: " (length ids)) "")
            (mapconcat #'anvillm-name (seq-take ids 6) ", ")
            (if (> more 0) (format " and %d more" more) ""))))

(defun anvillm--confirmed-p (action ids)
  "Return non-nil if ACTION, a symbol, may be done to the sessions IDS."
  (or (not (or (memq action anvillm-confirm)
               (and (cdr ids) (memq 'several anvillm-confirm)
                    (memq action '(stop restart kill interrupt)))))
      (yes-or-no-p (format "%s %s? " (capitalize (symbol-name action)) (anvillm-names ids)))))

(defun anvillm--control (action ids)
  "Have ACTION, a symbol, done to the sessions IDS."
  (when (anvillm--confirmed-p action ids)
    (dolist (id ids)
      (let ((name (anvillm-name id)))
        (anvillm-write (concat id "/ctl") (format "%s\n" action)
                       (anvillm-then (format "%s %s" action name)
                                     (lambda (_) (message "%s: %s" name action))))))))

(defun anvillm-stop (ids)
  "Stop the agents of the sessions IDS; they can be restarted."
  (interactive (list (anvillm-current-many "Stop: ")))
  (anvillm--control 'stop ids))

(defun anvillm-restart (ids)
  "Restart the agents of the sessions IDS with their conversations."
  (interactive (list (anvillm-current-many "Restart: ")))
  (anvillm--control 'restart ids))

(defun anvillm-kill (ids)
  "Kill the sessions IDS for good."
  (interactive (list (anvillm-current-many "Kill: ")))
  (anvillm--control 'kill ids))

(defun anvillm-interrupt (ids)
  "Interrupt the current turn of the sessions IDS."
  (interactive (list (anvillm-current-many "Interrupt: ")))
  (anvillm--control 'interrupt ids))

(defun anvillm-hold (ids)
  "Hold the queues of the sessions IDS: their agents get nothing more of them."
  (interactive (list (anvillm-current-many "Hold the queue of: ")))
  (anvillm--control 'hold ids))

(defun anvillm-go (ids)
  "Let the queues of the sessions IDS go on."
  (interactive (list (anvillm-current-many "Let go on the queue of: ")))
  (anvillm--control 'go ids))

(defun anvillm-keys (id keys)
  "Press KEYS in the pane of the session ID.
KEYS are names with blanks between, as in \"Down Enter\"."
  (interactive (let ((id (anvillm-current "Keys for the pane of: ")))
                 (list id (read-string (format "Keys for the pane of %s (as in Down Enter): "
                                               (anvillm-name id))))))
  (anvillm-write (concat id "/ctl")
                 (concat "keys " (mapconcat #'anvillm-quote (split-string keys) " ") "\n")
                 (anvillm-then "keys" (lambda (_) (message "%s: %s" (anvillm-name id) keys)))))

(defun anvillm-alias (id alias)
  "Give the session ID an ALIAS, or remove it if ALIAS is empty."
  (interactive (let ((id (anvillm-current "Alias of: ")))
                 (list id (read-string (format "Alias of %s: " id) (anvillm-get id :alias)))))
  (anvillm-write (concat id "/alias") (concat alias "\n")
                 (anvillm-then "alias"
                               (lambda (_)
                                 (message "%s is %s" id
                                          (if (string-empty-p alias) "nameless" alias))
                                 (anvillm-sync-soon)))))

(defun anvillm-send-prompt (ids text done)
  "Send TEXT to the sessions IDS; DONE gets a list of (ID . CONDITION) that failed."
  (let* ((left (length ids)) failed
         (answered (lambda (id err)
                     (when err (push (cons id err) failed))
                     (when (= 0 (cl-decf left)) (funcall done (nreverse failed))))))
    (dolist (id ids)
      (condition-case err
          (anvillm-write (concat id "/in") text (lambda (_ err) (funcall answered id err)))
        (user-error (funcall answered id err)))))) ; no daemon

(defun anvillm-prompt (ids text)
  "Send the prompt TEXT, read in the minibuffer, to the sessions IDS."
  (interactive
   (let ((ids (anvillm-current-many "Prompt: ")))
     (anvillm-history-load)
     (list ids (read-string (format "Prompt to %s: " (mapconcat #'anvillm-name ids ", "))
                            nil 'anvillm-prompt-history))))
  (when (string-blank-p text) (user-error "Nothing to send"))
  (let ((names (mapconcat #'anvillm-name ids ", ")))
    (anvillm-send-prompt
     ids text
     (lambda (failed)
       (if (not failed)
           (progn (anvillm-history-keep text) ; here it is already
                  (message "Accepted by %s" names))
         (kill-new text)
         (message "Not accepted, the prompt is in the kill ring: %s"
                  (mapconcat (lambda (f)
                               (format "%s: %s" (anvillm-name (car f)) (anvillm-sentence (cdr f))))
                             failed "; ")))))))

(provide 'anvillm-control)
;;; anvillm-control.el ends here
