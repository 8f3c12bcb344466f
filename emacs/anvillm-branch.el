;;; anvillm-branch.el --- Work that is taken over, or thrown away  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A session on a branch of its own: its work is merged into what you have
;; checked out, pushed, made a request, or discarded.  What a turn of any session
;; has changed is undone.  The daemon does it and says what was done, or why it
;; refuses: then nothing has changed, and the paths in the way are listed.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-wait)

(defconst anvillm-branch--ways '("rebase" "squash" "anyway" "squash anyway" "rebase anyway")
  "How a branch can be merged, besides as it is.")

(defun anvillm-branch--current (prompt)
  "Return the id of the session at hand, or ask with PROMPT for one with a branch."
  (or (anvillm-at-point)
      (progn
        (anvillm-await-sessions)
        (anvillm-read-session
         prompt
         (or (cl-remove-if-not #'anvillm-branch-of (anvillm-by-recency (anvillm-sessions)))
             (user-error "No session has a branch of its own"))))))

(defun anvillm-branch-of (session)
  "Return the branch that SESSION has for itself, or nil."
  (let ((branch (plist-get session :branch)))
    (and branch (not (string-empty-p branch)) branch)))

(defun anvillm-branch--what (id)
  "Return the words for the work of session ID."
  (let ((branch (anvillm-branch-of (anvillm-session id))))
    (if branch (format "%s of %s" branch (anvillm-name id)) (anvillm-name id))))

;;;; Refusals

(defun anvillm-branch--refused (id what sentence)
  "Show that WHAT was refused for session ID, because of SENTENCE."
  (let* ((at (string-match ": " sentence))
         (why (if at (substring sentence 0 at) sentence))
         (paths (and at (split-string (substring sentence (+ at 2)) ", " t))))
    (message "%s is refused: %s" what
             (propertize (truncate-string-to-width sentence 200 nil nil "…") 'face 'anvillm-error))
    (when (cdr paths)
      (with-current-buffer (anvillm-buffer-get id "*anvillm refused %s*")
        (special-mode)
        (anvillm-drawing ()
          (erase-buffer)
          (insert (propertize (concat what " is refused; nothing has changed.") 'face
                              'anvillm-heading)
                  "\n\n" (propertize why 'face 'anvillm-error) ":\n\n"
                  (mapconcat (lambda (path) (concat "  " path "\n")) paths ""))
          (goto-char (point-min)))
        (setq default-directory (anvillm-directory id))
        (display-buffer (current-buffer) '(nil (inhibit-same-window . t)))))))

(defun anvillm-branch-then (id what)
  "Return a callback to tell how WHAT, of session ID, went."
  (lambda (result err)
    (cond ((null err)
           (message "%s" (if (stringp result) (anvillm-text result) (concat what ": done")))
           (run-hook-with-args 'anvillm-branch-functions id))
          ((eq (car err) 'anvillm-9p-error)
           (anvillm-branch--refused
            id what (anvillm-visible (anvillm-sentence err))))
          (t (message "%s: %s" what (anvillm-sentence err))))))

(defun anvillm-branch--may-p (action what)
  "Return non-nil if WHAT may be done; it is asked where ACTION, a symbol, is."
  (or (not (memq action anvillm-confirm)) (yes-or-no-p (concat what "? "))))

(defun anvillm-branch--do (id action what words)
  "Have WORDS done by the file git/ctl of session ID; WHAT is that for people.
ACTION, a symbol, is looked for in `anvillm-confirm'."
  (let ((what (format "%s %s" what (anvillm-branch--what id))))
    (when (anvillm-branch--may-p action what)
      (message "%s..." what)
      (anvillm-9p-write-read (anvillm-conn) (concat id "/git/ctl") (concat words "\n")
                             (anvillm-branch-then id what)))))

;;;; Commands

(defvar anvillm-branch-functions nil
  "Called with a session's id when its work was merged, pushed or undone.")

;;;###autoload
(defun anvillm-merge (id &optional way)
  "Merge the branch of session ID into the one that you have checked out.
With a prefix argument ask for the WAY: rebased, as one commit, or although
something is not committed or may run code."
  (interactive (list (anvillm-branch--current "Merge: ")
                     (and current-prefix-arg
                          (completing-read "Merge in which way: " anvillm-branch--ways nil t))))
  (let ((words (string-trim (concat "merge " way))))
    (anvillm-branch--do id 'merge (capitalize words) words)))

;;;###autoload
(defun anvillm-merge-squash (id)
  "Merge the branch of session ID as one commit of yours."
  (interactive (list (anvillm-branch--current "Merge as one commit: ")))
  (anvillm-merge id "squash"))

;;;###autoload
(defun anvillm-merge-rebase (id)
  "Rebase the branch of session ID onto yours, then merge it."
  (interactive (list (anvillm-branch--current "Rebase and merge: ")))
  (anvillm-merge id "rebase"))

;;;###autoload
(defun anvillm-push (id &optional remote)
  "Push the branch of session ID, with your credentials.
With a prefix argument ask for the REMOTE."
  (interactive (list (anvillm-branch--current "Push: ")
                     (and current-prefix-arg (read-string "To which remote: "))))
  (let ((remote (if (member remote '(nil "")) nil remote)))
    (anvillm-branch--do id 'push (if remote (format "Push to %s" remote) "Push")
                        (concat "push" (if remote (concat " " (anvillm-quote remote)) "")))))

;;;###autoload
(defun anvillm-request (id)
  "Push the branch of session ID and open a pull request with gh or glab."
  (interactive (list (anvillm-branch--current "Make a request of: ")))
  (anvillm-branch--do id 'push "Push and make a request of" "pr"))

;;;###autoload
(defun anvillm-discard (id)
  "Kill the session ID and remove its work tree.
The daemon refuses while anything in it is nowhere else."
  (interactive (list (anvillm-branch--current "Discard: ")))
  (anvillm-branch--do id 'discard "Kill, and discard the work tree" "discard"))

;;;; Undo

(defun anvillm-branch-turns (id)
  "Return a row for each turn of session ID that is over, the last first.
Each is a list of strings: number, state, origin, time, seconds, lines added,
lines removed, words."
  (nreverse
   (cl-loop for line in (split-string (anvillm-text (anvillm-await-read (concat id "/turns/list")))
                                      "\n" t)
            for row = (split-string line "\t")
            when (member (nth 1 row) '("done" "failed")) collect row)))

(defun anvillm-branch-read-turn (id prompt)
  "Ask with PROMPT for a turn of session ID that has changed files."
  (let ((turns (cl-remove-if (lambda (row) (and (member (nth 5 row) '("-" "0"))
                                                (member (nth 6 row) '("-" "0"))))
                             (anvillm-branch-turns id))))
    (unless turns (user-error "No turn of %s has changed files" (anvillm-name id)))
    (completing-read
     (format-prompt prompt (caar turns))
     (lambda (string predicate action)
       (if (not (eq action 'metadata)) (complete-with-action action turns string predicate)
         `(metadata
           (category . anvillm-turn)
           (display-sort-function . identity)
           (annotation-function . ,(lambda (number)
                                     (pcase (assoc number turns)
                                       (`(,_ ,_ ,_ ,_ ,_ ,added ,removed . ,words)
                                        (format "  +%s −%s  %s" added removed
                                                (or (car words) "")))))))))
     nil t nil nil (caar turns))))

;;;###autoload
(defun anvillm-undo (id turn)
  "Take back from the files what the TURN of session ID has changed.
What was changed since is kept; the daemon refuses where that is the same place."
  (interactive (let ((id (anvillm-current "Undo a turn of: ")))
                 (list id (anvillm-branch-read-turn id (format "Undo which turn of %s"
                                                               (anvillm-name id))))))
  (let ((what (format "Undo turn %s of %s" turn (anvillm-name id))))
    (when (anvillm-branch--may-p 'undo what)
      (anvillm-write (format "%s/turns/%s/ctl" id turn) "undo\n"
                     (anvillm-branch-then id what)))))

(provide 'anvillm-branch)
;;; anvillm-branch.el ends here
