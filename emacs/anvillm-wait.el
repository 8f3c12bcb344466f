;;; anvillm-wait.el --- Waiting without being held up  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A command that cannot go on before the daemon has told something, such as
;; which sessions there are, waits in the minibuffer.  Emacs goes on meanwhile:
;; other windows can be used, C-g gives up, and keys typed ahead go to what the
;; command asks for afterwards.  A daemon that answers as it should does so
;; before the minibuffer would be drawn.

;;; Code:

(require 'anvillm-link)

(defconst anvillm-wait--grace 0.02
  "How long a daemon may take before the minibuffer shows, in seconds.
That is the only time for which a command holds Emacs up.")
(defconst anvillm-wait--batch 5 "How long is waited where there is no minibuffer, in seconds.")

(defvar anvillm-wait--typed nil "The keys typed ahead.")

(defvar anvillm-wait-map
  (let ((map (make-sparse-keymap)))
    (set-keymap-parent map minibuffer-local-map)
    (define-key map [remap self-insert-command] #'anvillm-wait--keep)
    (dolist (key '("RET" "TAB" "SPC" "DEL" "C-j"))
      (define-key map (kbd key) #'anvillm-wait--keep))
    map)
  "Keys while a command waits for the daemon.")

(defun anvillm-wait--keep ()
  "Keep the key just typed for what comes afterwards."
  (interactive)
  (setq anvillm-wait--typed
        (append anvillm-wait--typed (listify-key-sequence (this-command-keys-vector)))))

(defun anvillm-await (predicate)
  "Wait until PREDICATE is true and return its value.
It is tried whenever something has come from the daemon.  Signal a `user-error'
if the daemon goes away meanwhile."
  (let ((over (lambda () (or (not (anvillm-9p-live-p anvillm-link-conn)) (funcall predicate)))))
    (or (anvillm-wait--poll over anvillm-wait--grace)
        (if noninteractive (anvillm-wait--poll over anvillm-wait--batch)
          (anvillm-wait--in-minibuffer over)))
    (or (funcall predicate)
        (user-error (if (anvillm-9p-live-p anvillm-link-conn) "The daemon does not answer"
                      "The daemon went away")))))

(defun anvillm-wait--poll (over seconds)
  "Wait until OVER is true, for SECONDS at most; return its value."
  (let ((end (+ (float-time) seconds)) value)
    (while (and (not (setq value (funcall over))) (< (float-time) end))
      (accept-process-output nil 0.005))
    value))

(defun anvillm-wait--in-minibuffer (over)
  "Show a minibuffer until OVER is true."
  (let* ((anvillm-wait--typed nil) (tag (make-symbol "over")) (minibuffer nil)
         ;; Never out of a deeper minibuffer, or of what is done in another window.
         (leave (lambda ()
                  (when (and (eq minibuffer (window-buffer)) (funcall over)) (throw tag nil))))
         (soon (lambda () (run-at-time 0 nil leave))))
    (unwind-protect
        (catch tag
          (add-hook 'anvillm-arrival-hook soon)
          (add-hook 'anvillm-link-hook soon)
          (minibuffer-with-setup-hook
              (lambda ()
                (setq minibuffer (current-buffer))
                (setq-local enable-recursive-minibuffers t)
                (add-hook 'post-command-hook leave nil t))
            (read-from-minibuffer
             (substitute-command-keys "Waiting for the daemon (\\[keyboard-quit] gives up)...")
             nil anvillm-wait-map nil t)))
      (remove-hook 'anvillm-arrival-hook soon)
      (remove-hook 'anvillm-link-hook soon))
    (setq unread-command-events (append anvillm-wait--typed unread-command-events))))

(defun anvillm-await-read (path)
  "Return the bytes of the file PATH, waited for as by `anvillm-await'."
  (let (answer)
    (anvillm-read path (lambda (bytes err)
                         (setq answer (list bytes err))
                         (run-hooks 'anvillm-arrival-hook)))
    (pcase (anvillm-await (lambda () answer))
      (`(,bytes nil) bytes)
      (`(,_ ,err) (user-error "%s: %s" path (anvillm-sentence err))))))

(defun anvillm-await-sessions ()
  "Have the sessions known, from before or from now; or signal an error."
  (if (and anvillm-order (equal anvillm-link-socket (anvillm-socket)))
      (anvillm-connect-later)
    (anvillm-conn)
    (anvillm-await (lambda () (or anvillm-order (eq anvillm-link-state 'live))))))

(provide 'anvillm-wait)
;;; anvillm-wait.el ends here
