;;; anvillm-ask.el --- Answering what an agent asks  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; An agent that waits for a permission or for an answer shows what it asks in a
;; window below; one key gives the answer.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)

(defun anvillm-ask--keys (choices)
  "Return an alist from keys to CHOICES: the number, and the first letter if free."
  (let ((n 0) keys)
    (dolist (choice choices)
      (let ((letter (and (string-match "[[:alpha:]]" choice) (downcase (string-to-char (match-string 0 choice))))))
        (setq n (1+ n))
        (when (<= n 9) (push (cons (+ ?0 n) choice) keys))
        (when (and letter (not (assq letter keys))) (push (cons letter choice) keys))))
    (nreverse keys)))

(defun anvillm-ask--draw (id ask)
  "Return a buffer with the question ASK of session ID."
  (let ((keys (anvillm-ask--keys (plist-get ask :choices))))
    (with-current-buffer (get-buffer-create "*anvillm asks*")
      (special-mode)
      (setq anvillm-buffer-session id mode-line-format nil)
      (let ((inhibit-read-only t))
        (erase-buffer)
        (insert (propertize (anvillm-name id) 'face 'anvillm-name) " asks"
                (if (cdr (anvillm-asks (anvillm-session id))) (format " (%s)" (plist-get ask :id)) "") "\n\n"
                (string-trim (or (plist-get ask :text) "")) "\n\n")
        (dolist (choice (plist-get ask :choices))
          (let ((its (cl-remove-if-not (lambda (k) (eq (cdr k) choice)) keys)))
            (insert "  " (mapconcat (lambda (k) (propertize (string (car k)) 'face 'anvillm-key)) its " ")
                    (if (cdr its) "" "  ") "  " choice "\n")))
        (when (or (plist-get ask :free) (not (plist-get ask :choices)))
          (insert "  " (propertize "e" 'face 'anvillm-key) "    write an answer\n"))
        (insert "  " (propertize "q" 'face 'anvillm-key) "    leave it for later\n")
        (goto-char (point-min)))
      (current-buffer))))

(defun anvillm-ask--read (id ask)
  "Return the answer that the user gives to ASK of session ID, or nil."
  (let* ((choices (plist-get ask :choices)) (free (or (plist-get ask :free) (not choices)))
         (keys (append (anvillm-ask--keys choices) (and free '((?e . free))) '((?q . nil) (?\e . nil))))
         (buffer (anvillm-ask--draw id ask))
         (window (display-buffer buffer '(display-buffer-at-bottom (window-height . fit-window-to-buffer)))))
    (unwind-protect
        (let ((answer (cdr (assq (read-char-choice (format "Answer %s: " (anvillm-name id)) (mapcar #'car keys)) keys))))
          (if (eq answer 'free) (anvillm-ask--words id ask) answer))
      (when (window-live-p window) (quit-window t window)))))

(defun anvillm-ask--words (id ask)
  "Return the words that the user answers ASK of session ID with.
They are a line for each where there are several questions in it."
  (let ((parts (append (plist-get ask :questions) nil)))
    (if (not (cdr parts)) (read-string (format "Answer %s: " (anvillm-name id)))
      (mapconcat (lambda (part) (read-string (concat (anvillm-one-line (plist-get part :text)) " "))) parts "\n"))))

;;;###autoload
(defun anvillm-answer (id)
  "Answer what the session ID asks, with one key.
If it has several questions open, they come one after the other."
  (interactive
   (list (let ((here (anvillm-at-point)))
           (if (and here (anvillm-get here :ask)) here
             (let ((asking (cl-remove-if-not (lambda (s) (plist-get s :ask)) (anvillm-sessions))))
               (cond ((not asking) (user-error "Nobody asks anything"))
                     ((cdr asking) (anvillm-read-session "Answer: " asking))
                     (t (anvillm-id (car asking)))))))))
  (let ((asks (anvillm-asks (anvillm-session id))))
    (unless asks (user-error "%s asks nothing" (anvillm-name id)))
    (dolist (ask asks)
      (let ((answer (anvillm-ask--read id ask)))
        (cond ((not answer) (message "%s still waits" (anvillm-name id)))
              ;; The question on the screen is the one that is answered, or none.
              ((not (member (anvillm-ask--same ask) (mapcar #'anvillm-ask--same (anvillm-asks (anvillm-session id)))))
               (user-error "The question has gone; nothing was answered"))
              (t (anvillm-write (concat id "/answer")
                                (concat (if (plist-get ask :id) (concat (plist-get ask :id) " ") "") answer "\n")
                                (let ((name (anvillm-name id)))
                                  (anvillm-then "answer" (lambda (_) (message "%s: %s" name answer)))))))))))

(defun anvillm-ask--same (ask)
  "Return what ASK is known by."
  (list (plist-get ask :id) (plist-get ask :text) (plist-get ask :choices)))

(provide 'anvillm-ask)
;;; anvillm-ask.el ends here
