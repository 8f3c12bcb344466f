;;; anvillm-daemon.el --- The daemon, and what is said to it  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The daemon buffer shows the link, the backends and the last errors, and
;; starts, stops and restarts the daemon.  The traffic buffer shows every 9P
;; message, for when something does not work.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-window)

(defconst anvillm-daemon--buffer "*anvillm daemon*" "The name of the daemon's buffer.")
(defvar anvillm-daemon--output "" "What the program of the daemon said last.")
(defvar anvillm-daemon--process nil "The program that starts, stops or asks after the daemon.")

;;;; Running the program

(defun anvillm-daemon--run (command &optional done)
  "Run `anvillm-program' with COMMAND in the background, then call DONE."
  (when (process-live-p anvillm-daemon--process) (user-error "It is still busy"))
  (let ((program (executable-find anvillm-program))
        (process-environment (cons (concat "NAMESPACE=" (anvillm-namespace)) process-environment))
        (default-directory (expand-file-name "~/")))
    (unless program (user-error "There is no program %s; set `anvillm-program'" anvillm-program))
    (setq anvillm-daemon--output (format "%s %s...\n" anvillm-program command))
    (setq anvillm-daemon--process
          (make-process
           :name "anvilsrv" :command (list program command) :noquery t :connection-type 'pipe
           :filter (lambda (_ text)
                     (setq anvillm-daemon--output (concat anvillm-daemon--output text))
                     (anvillm-daemon--draw))
           :sentinel (lambda (process _)
                       (unless (process-live-p process)
                         (let ((status (process-exit-status process)))
                           (message "%s %s: %s" anvillm-program command
                                    (if (= 0 status) "done"
                                      (format "exit status %d: %s" status
                                              (anvillm-one-line
                                               (replace-regexp-in-string
                                                "\\`.*\n" "" anvillm-daemon--output))))))
                         (anvillm-daemon--draw)
                         (when done (funcall done))))))
    (anvillm-daemon--draw)))

;;;###autoload
(defun anvillm-daemon-start ()
  "Start the daemon of this namespace."
  (interactive)
  (anvillm-daemon--run "start" (lambda () (ignore-errors (anvillm-connect)))))

(defun anvillm-daemon-stop ()
  "Stop the daemon; the agents are ended gently and can be restarted."
  (interactive)
  (when (yes-or-no-p "Stop the daemon, and with it all agents? ")
    (anvillm-daemon--run "stop")))

(defun anvillm-daemon-restart ()
  "Replace the daemon; the agents run on."
  (interactive)
  (anvillm-daemon--run "restart" (lambda () (ignore-errors (anvillm-connect)))))

(defun anvillm-daemon-status ()
  "Ask after the daemon."
  (interactive)
  (anvillm-daemon--run "status"))

;;;; The buffer

(defvar anvillm-daemon-mode-map (anvillm-bindings-map 'daemon special-mode-map)
  "Keys of the daemon's buffer.")

(define-derived-mode anvillm-daemon-mode special-mode "AnviLLM-Daemon"
  "The daemon.

\\{anvillm-daemon-mode-map}"
  :interactive nil
  (anvillm-window-keeps-text)
  (visual-line-mode)
  (setq-local revert-buffer-function (lambda (&rest _) (anvillm-daemon)))
  (add-hook 'anvillm-link-hook #'anvillm-daemon--draw)
  (add-hook 'anvillm-session-functions #'anvillm-daemon--draw)
  (add-hook 'anvillm-event-functions #'anvillm-daemon--draw))

(defun anvillm-daemon--backends ()
  "Insert a line for each backend, those that can run first."
  (let* ((ok (lambda (row) (equal (nth 2 row) "ok")))
         (rows (append (seq-filter ok anvillm-backends) (seq-remove ok anvillm-backends)))
         (width (lambda (n)
                  (apply #'max 0 (mapcar (lambda (row) (string-width (nth n row))) rows))))
         (line (format "  %%-%ds %%-%ds " (funcall width 0) (funcall width 1))))
    (pcase-dolist (`(,name ,title ,status . ,_) rows)
      (let ((start (point)))
        (insert (format line name title))
        (let ((indent (- (point) start)))
          (insert (propertize status 'face (if (equal status "ok") 'anvillm-idle 'anvillm-off))
                  "\n")
          (put-text-property start (point) 'wrap-prefix (make-string indent ?\s)))))))

(defun anvillm-daemon--counts ()
  "Return how many sessions there are in each state, in words."
  (let (counts)
    (dolist (s (anvillm-sessions))
      (cl-incf (alist-get (or (plist-get s :state) "?") counts 0 nil #'equal)))
    (if counts (mapconcat (lambda (c) (format "%d %s" (cdr c) (car c))) (nreverse counts) ", ")
      "none")))

(defun anvillm-daemon--draw (&rest _)
  "Draw the daemon's buffer, if there is one."
  (let ((buffer (get-buffer anvillm-daemon--buffer)))
    (when (and buffer (or (get-buffer-window buffer t) (= 0 (buffer-size buffer))))
      (with-current-buffer buffer
        (anvillm-drawing ((at (point)))
          (erase-buffer)
          (cl-flet ((field (title value)
                           (insert (propertize (format "%-12s" title) 'face 'anvillm-heading) value
                                   "\n")))
            (field "Namespace" (abbreviate-file-name (anvillm-namespace)))
            (field "Link" (pcase (anvillm-link-status)
                            ('live (propertize "up" 'face 'anvillm-idle))
                            ('lost (propertize (anvillm-sentence anvillm-link-why) 'face
                                               'anvillm-error))
                            (_ (propertize (anvillm-link-text) 'face 'anvillm-waiting))))
            (field "Sessions" (anvillm-daemon--counts))
            (field "Your mail"
                   (if (> anvillm-user-unread 0) (format "%d waiting" anvillm-user-unread) "none")))
          (insert "\n" (propertize "Backends" 'face 'anvillm-heading) "\n")
          (anvillm-daemon--backends)
          (when anvillm-errors
            (insert "\n" (propertize "Last errors" 'face 'anvillm-heading) "\n")
            (dolist (event (cl-subseq anvillm-errors 0 (min 10 (length anvillm-errors))))
              (insert "  "
                      (propertize (format-time-string "%H:%M:%S " (plist-get event :ts)) 'face
                                  'anvillm-id)
                      (let ((id (plist-get event :session_id)))
                        (if id (concat (anvillm-name id) ": ") ""))
                      (anvillm-event-text event) "\n")))
          (unless (string-empty-p anvillm-daemon--output)
            (insert "\n" (propertize "Program" 'face 'anvillm-heading) "\n"
                    (replace-regexp-in-string "^\\(.\\)" "  \\1" anvillm-daemon--output)))
          (insert "\n" (substitute-command-keys "\
\\[anvillm-daemon-start] start  \\[anvillm-daemon-stop] stop  \\[anvillm-daemon-restart] restart  \
\\[anvillm-daemon-status] status  \\[anvillm-daemon-connect] connect  \
\\[anvillm-daemon-namespace] namespace  \
\\[anvillm-traffic] traffic\n"))
          (goto-char (min at (point-max))))))))

;;;###autoload
(defun anvillm-daemon ()
  "Show the daemon: the link, the backends, the last errors."
  (interactive)
  (with-current-buffer (get-buffer-create anvillm-daemon--buffer)
    (unless (derived-mode-p 'anvillm-daemon-mode) (anvillm-daemon-mode))
    (pop-to-buffer (current-buffer))
    (when (anvillm-connect-later)
      (anvillm-read-backends #'anvillm-daemon--draw))
    (anvillm-daemon--draw)))

(defun anvillm-daemon-connect ()
  "Connect to the daemon now."
  (interactive)
  (anvillm-conn)
  (anvillm-daemon))

(defun anvillm-daemon-namespace (directory)
  "Speak to the daemon of the namespace DIRECTORY from now on."
  (interactive (list (read-directory-name "Namespace: "
                                          (file-name-as-directory (anvillm-namespace)))))
  (anvillm-disconnect)
  (setq anvillm-namespace (directory-file-name (expand-file-name directory)) anvillm-backends nil)
  (anvillm-daemon))

;;;; Traffic

(defcustom anvillm-traffic-lines 2000
  "How many lines the traffic buffer keeps."
  :type 'natnum
  :group 'anvillm)

(defun anvillm-traffic--note (direction message)
  "Add MESSAGE, which went in DIRECTION, to the traffic buffer."
  (let ((buffer (get-buffer "*anvillm traffic*")))
    (if (not buffer)
        (setq anvillm-9p-trace-function nil)
      (with-current-buffer buffer
        (anvillm-drawing ((tails (cl-remove-if-not (lambda (w)
                                                     (= (window-point w) (point-max)))
                                                   (get-buffer-window-list nil nil t))))
          (save-excursion
            (goto-char (point-max))
            (insert (propertize (format-time-string "%H:%M:%S.%3N ") 'face 'anvillm-id) direction
                    " "
                    (anvillm-wire-format message) "\n")
            (when (> (line-number-at-pos nil t) anvillm-traffic-lines)
              (goto-char (point-min))
              (forward-line (/ anvillm-traffic-lines 5))
              (delete-region (point-min) (point))))
          (dolist (w tails) (set-window-point w (point-max))))))))

;;;###autoload
(defun anvillm-traffic ()
  "Show the 9P messages from now on, until the buffer is killed."
  (interactive)
  (with-current-buffer (get-buffer-create "*anvillm traffic*")
    (unless (derived-mode-p 'special-mode)
      (special-mode)
      (buffer-disable-undo)
      (setq truncate-lines t)
      (add-hook 'kill-buffer-hook (lambda () (setq anvillm-9p-trace-function nil)) nil t))
    (setq anvillm-9p-trace-function #'anvillm-traffic--note)
    (goto-char (point-max))
    (pop-to-buffer (current-buffer))))

(provide 'anvillm-daemon)
;;; anvillm-daemon.el ends here
