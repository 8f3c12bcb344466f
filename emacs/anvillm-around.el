;;; anvillm-around.el --- Around a session  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The directory of a session, the diff of its project, its sandbox and other files
;; that are read once.

;;; Code:

(require 'anvillm-which)

;;;; Around a session

(defun anvillm-dired (id)
  "Open the directory of the session ID."
  (interactive (list (anvillm-current "Directory of: ")))
  (dired (anvillm-cwd id)))

(defun anvillm-cwd (id)
  "Return the directory of the session ID, or signal a `user-error' if it is gone."
  (let ((cwd (or (anvillm-get id :cwd) "")))
    (unless (file-accessible-directory-p cwd)
      (user-error "%s works in %s, which does not exist" (anvillm-name id)
                  (abbreviate-file-name cwd)))
    cwd))

;; Git that an agent could have configured is never run by Emacs itself: neither by vc nor by Magit.
(defun anvillm--policy (id)
  "Return the options of `anvillm-sandbox-program' for the policy of ID."
  (let ((role (anvillm-get id :role)))
    (append (list "--backend" (anvillm-get id :backend))
            (unless (member role '(nil "")) (list "--role" role))
            (mapcan (lambda (task) (list "--task" task)) (append (anvillm-get id :tasks) nil)))))

(defun anvillm-project-diff (id)
  "Show what is not committed in the session ID's project, by sandboxed git."
  (interactive (list (anvillm-current "Diff of: ")))
  (let* ((root (anvillm-project-root (anvillm-cwd id)))
         (program (executable-find anvillm-sandbox-program))
         (buffer (anvillm-buffer-get id "*anvillm %s diff*")))
    (unless (locate-dominating-file root ".git")
      (user-error "%s is not in a git repository" (abbreviate-file-name root)))
    (unless program
      (user-error "There is no program %s; set `anvillm-sandbox-program'" anvillm-sandbox-program))
    (with-current-buffer buffer
      (anvillm-drawing () (erase-buffer))
      (diff-mode)
      (setq buffer-read-only t)
      (setq-local default-directory root revert-buffer-function
                  (lambda (&rest _) (anvillm-project-diff id)))
      (make-process
       :name "anvillm-diff" :buffer buffer :noquery t :connection-type 'pipe
       :command (append (list program "run") (anvillm--policy id)
                        (list "--cwd" root "--" "git" "--no-pager" "diff" "--no-color"
                              "--no-ext-diff" "HEAD"))
       :filter (lambda (process text)
                 (when (buffer-live-p (process-buffer process))
                   (with-current-buffer (process-buffer process)
                     (anvillm-drawing ()
                       (save-excursion (goto-char (point-max)) (insert (anvillm-visible text)))))))
       :sentinel (lambda (process _)
                   (when (and (memq (process-status process) '(exit signal))
                              (buffer-live-p (process-buffer process))
                              (= 0 (buffer-size (process-buffer process))))
                     (message "Nothing has changed in %s" (abbreviate-file-name root))))))
    (pop-to-buffer buffer)))

(defun anvillm-copy-id (ids)
  "Copy the ids of the sessions IDS."
  (interactive (list (anvillm-current-many "Copy id of: ")))
  (let ((text (string-join ids " ")))
    (kill-new text)
    (message "%s" text)))

(defun anvillm-show-file (id file)
  "Show FILE of the session ID, read once, in a buffer of its own."
  (anvillm-conn)
  (with-current-buffer (anvillm-buffer-get id (concat "*anvillm %s " file "*"))
    (special-mode)
    (setq truncate-lines t)
    (setq-local revert-buffer-function (lambda (&rest _) (anvillm-show-file id file)))
    (anvillm-read (concat id "/" file)
                  (anvillm-then file (lambda (bytes)
                                       (anvillm-drawing ((at (point)))
                                         (erase-buffer)
                                         (insert (anvillm--aligned (anvillm-text bytes)) "\n")
                                         (goto-char (min at (point-max)))))))
    (pop-to-buffer (current-buffer))))

(defun anvillm--aligned (text)
  "Return TEXT, whose columns are behind tabs, with each as wide as need be."
  (let* ((rows (mapcar (lambda (line) (split-string line "\t")) (split-string text "\n"))) widths)
    (dolist (row rows)
      (cl-loop for cell in (butlast row) for n from 0
               do (setf (alist-get n widths 0)
                        (max (alist-get n widths 0)
                             (min 40 (string-width cell)))))) ; few are longer
    (mapconcat (lambda (row)
                 (string-join (cl-loop for (cell . more) on row for n from 0
                                       collect (if more (string-pad cell (alist-get n widths))
                                                 cell))
                              "  "))
               rows "\n")))

(defun anvillm-sandbox (id)
  "Show what the session ID may do, and what enforces it."
  (interactive (list (anvillm-current "Sandbox of: ")))
  (anvillm-show-file id "sandbox"))

(defun anvillm-refresh ()
  "Read the sessions from the daemon again."
  (interactive)
  (anvillm-conn)
  (anvillm-sync))

(provide 'anvillm-around)
;;; anvillm-around.el ends here
