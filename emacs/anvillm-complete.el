;;; anvillm-complete.el --- Completion where a prompt is written  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; After @ the files of the session's directory, after a / that begins the
;; prompt the commands of its agent, by completion at point.  The directory is
;; walked by Emacs itself, a few milliseconds at a time: no git is run where an
;; agent may have configured it.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)

(defvar anvillm-compose-targets)

(defcustom anvillm-complete-most 20000
  "How many files are looked for, for completion, at most."
  :type 'natnum
  :group 'anvillm)

(defconst anvillm-complete--slice 0.02 "How long the walk goes on at a time, in seconds.")
(defconst anvillm-complete--fresh 60 "For how long what was found is good, in seconds.")
(defconst anvillm-complete--left-out
  '("node_modules" "__pycache__" "target" "venv" "dist" "elpa")
  "Directories that are not looked into, besides those that are hidden.")

(cl-defstruct (anvillm-complete--walk (:copier nil))
  root dirs (found nil) (count 0) timer (begun (float-time)))

(defvar anvillm-complete--walks (make-hash-table :test #'equal) "Walks by directory.")

(defun anvillm-complete--step (walk)
  "Let WALK go on for a moment, and later if there is more."
  (setf (anvillm-complete--walk-timer walk) nil)
  (let ((end (+ (float-time) anvillm-complete--slice)))
    (while (and (anvillm-complete--walk-dirs walk) (< (float-time) end))
      (anvillm-complete--look walk (pop (anvillm-complete--walk-dirs walk)))))
  (when (anvillm-complete--walk-dirs walk)
    (setf (anvillm-complete--walk-timer walk)
          (run-with-timer 0.03 nil #'anvillm-complete--step walk))))

(defun anvillm-complete--look (walk dir)
  "Add what is in DIR, relative to the root of WALK, to it."
  (pcase-dolist (`(,name . ,attributes)
                 (ignore-errors
                   (directory-files-and-attributes
                    (expand-file-name dir (anvillm-complete--walk-root walk)) nil "\\`[^.]" t)))
    (cond ((>= (anvillm-complete--walk-count walk) anvillm-complete-most)
           (setf (anvillm-complete--walk-dirs walk) nil))
          ((eq t (file-attribute-type attributes))
           (unless (member name anvillm-complete--left-out)
             (setf (anvillm-complete--walk-dirs walk)
                   (nconc (anvillm-complete--walk-dirs walk) (list (concat dir name "/"))))))
          (t (cl-incf (anvillm-complete--walk-count walk))
             (push (concat dir name) (anvillm-complete--walk-found walk))))))

(defun anvillm-complete--files (root)
  "Return the files below ROOT that are known by now."
  (let ((walk (gethash root anvillm-complete--walks)))
    (unless (and walk
                 (< (- (float-time) (anvillm-complete--walk-begun walk)) anvillm-complete--fresh))
      (when (and walk (anvillm-complete--walk-timer walk))
        (cancel-timer (anvillm-complete--walk-timer walk)))
      (setq walk
            (puthash root (make-anvillm-complete--walk :root root :dirs (list ""))
                     anvillm-complete--walks)))
    (unless (anvillm-complete--walk-timer walk) (anvillm-complete--step walk))
    (anvillm-complete--walk-found walk)))

(defvar-local anvillm-complete--commands nil
  "The commands of the agent: (SESSION (NAME . DESCRIPTION)...), or nil.")

(defun anvillm-complete--commands ()
  "Return the commands of the agent that is written to, as far as they are known.
Those of an agent that has told none yet are asked for again."
  (let ((id (car anvillm-compose-targets)))
    (unless (and (equal id (car anvillm-complete--commands)) (cdr anvillm-complete--commands))
      (anvillm-complete--ask-commands id))
    (and (equal id (car anvillm-complete--commands)) (cdr anvillm-complete--commands))))

(defun anvillm-complete--ask-commands (id)
  "Read which commands the agent of session ID has, in the background."
  (when (and id (anvillm-9p-live-p anvillm-link-conn))
    (anvillm-9p-read anvillm-link-conn (concat id "/commands")
                     (anvillm-here
                      (lambda (bytes _)
                        (setq anvillm-complete--commands
                              (cons id (and bytes (anvillm-complete--parse bytes)))))))))

(defun anvillm-complete--parse (bytes)
  "Return the commands that BYTES tell: a line for each, its name before a tab."
  (mapcar (lambda (line)
            (pcase-let ((`(,name . ,what) (split-string line "\t")))
              (cons name (string-join what " "))))
          (split-string (anvillm-text bytes) "\n" t)))

(defun anvillm-complete-file ()
  "Complete the file name after an @, for `completion-at-point-functions'.
Any part of its path will do; what is in no path is left to other functions."
  (let* ((id (car anvillm-compose-targets)) (cwd (and id (anvillm-get id :cwd)))
         (start (save-excursion
                  (skip-chars-backward "^ \t\n@")
                  (and (eq (char-before) ?@)
                       (or (= (1- (point)) (point-min))
                           (memq (char-before (1- (point))) '(?\s ?\t ?\n ?\( ?\")))
                       (point)))))
    (when (and start cwd (file-accessible-directory-p cwd))
      (let ((files (anvillm-complete--files (file-name-as-directory cwd)))
            (typed (buffer-substring-no-properties start (point))))
        (when (cl-some (lambda (file) (string-search typed file)) files)
          (list start (save-excursion (skip-chars-forward "^ \t\n") (point))
                (lambda (string predicate action)
                  (if (eq action 'metadata) '(metadata (category . project-file))
                    (complete-with-action action files string predicate)))))))))

(defun anvillm-complete-command ()
  "Complete the command after a / at the beginning of the prompt."
  (let ((commands (anvillm-complete--commands)) (end (point)))
    (save-excursion
      (goto-char (point-min))
      (when (and commands (looking-at "/[^ \t\n]*") (<= end (match-end 0)) (> end (point)))
        (list (1+ (point)) (match-end 0)
              (lambda (string predicate action)
                (if (eq action 'metadata) '(metadata (category . anvillm-command))
                  (complete-with-action action commands string predicate)))
              :annotation-function (lambda (name) (concat "  " (cdr (assoc name commands))))
              :exclusive 'no)))))

(defun anvillm-complete-setup ()
  "Complete files and commands in this buffer, where a prompt is written."
  (add-hook 'completion-at-point-functions #'anvillm-complete-file nil t)
  (add-hook 'completion-at-point-functions #'anvillm-complete-command nil t)
  (anvillm-complete--commands))

(provide 'anvillm-complete)
;;; anvillm-complete.el ends here
