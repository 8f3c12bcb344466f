;;; anvillm-beads.el --- Tasks and what blocks them  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The beads as a list, and one bead in detail.  Every change is a command of
;; the file `beads/ctl'; the list follows the events.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-rows)
(require 'anvillm-compose)

(defvar-local anvillm-beads--all nil "The beads by id.")
(defvar-local anvillm-beads--ready nil "The ids of beads with nothing in their way, as keys.")
(defvar-local anvillm-beads--show 'open "Which beads are shown: open, ready or all.")
(defvar-local anvillm-beads--reading nil "The reading that is under way.")
(defvar-local anvillm-bead--id nil "The id of the bead that this buffer shows.")
(defvar-local anvillm-bead--bead nil "The bead that this buffer shows.")

;;;; The list

(defun anvillm-beads--status (bead)
  "Return the word for BEAD's status, with its face."
  (let ((status (or (plist-get bead :status) "?")))
    (cond ((and anvillm-beads--ready (gethash (plist-get bead :id) anvillm-beads--ready))
           (propertize "ready" 'face 'anvillm-idle))
          (t (propertize (string-replace "_" " " status)
                         'face (pcase status
                                 ("in_progress" 'anvillm-running)
                                 ("blocked" 'anvillm-error)
                                 ("open" 'anvillm-waiting)
                                 (_ 'anvillm-off)))))))

(defun anvillm-beads--line (id)
  "Return the row of the bead ID."
  (let* ((bead (gethash id anvillm-beads--all))
         (line (concat "  " (anvillm-rows-fit (propertize id 'face 'anvillm-id) 12)
                       " " (anvillm-rows-fit (format "P%s" (or (plist-get bead :priority) "-")) 3)
                       " " (anvillm-rows-fit (anvillm-beads--status bead) 11)
                       " " (anvillm-rows-fit (or (plist-get bead :issue_type) "") 8)
                       " " (anvillm-rows-fit (let ((who (plist-get bead :assignee)))
                                               (if who (anvillm-beads--who who) "")) 16)
                       " " (propertize (anvillm-one-line (or (plist-get bead :title) ""))
                                       'face (if (equal (plist-get bead :status) "closed")
                                                 'anvillm-off 'default))
                       (let ((labels (plist-get bead :labels)))
                         (if labels
                             (propertize (concat "  "
                                                 (mapconcat (lambda (l) (concat "#" l)) labels " "))
                                         'face 'anvillm-id) ""))
                       "\n")))
    (put-text-property 0 (length line) 'tabulated-list-id id line)
    line))

(defun anvillm-beads--who (who)
  "Return how WHO, maybe a session, is called."
  (if (anvillm-session who) (anvillm-name who) who))

(defun anvillm-beads--shown-p (bead)
  "Return non-nil if BEAD is to be shown."
  (pcase anvillm-beads--show
    ('all t)
    ('ready (gethash (plist-get bead :id) anvillm-beads--ready))
    (_ (not (equal (plist-get bead :status) "closed")))))

(defun anvillm-beads-refresh ()
  "Read the beads again."
  (interactive)
  (anvillm-conn)
  (anvillm-9p-cancel anvillm-beads--reading)
  (anvillm-rows-reading)
  (cl-flet ((then (path function)
              (setq anvillm-beads--reading (anvillm-read path (anvillm-then "beads" function)))))
    (then "beads/ready"
          (lambda (ready) (then "beads/list" (lambda (all) (anvillm-beads--take ready all)))))))

(defun anvillm-beads--take (ready all)
  "Show ALL beads, of which some are READY; both JSON."
  (setq anvillm-beads--all (make-hash-table :test #'equal)
        anvillm-beads--ready (make-hash-table :test #'equal))
  (dolist (bead (anvillm-json ready)) (puthash (plist-get bead :id) t anvillm-beads--ready))
  (let ((beads (anvillm-json all)))
    (dolist (bead beads) (puthash (plist-get bead :id) bead anvillm-beads--all))
    (setq beads (sort beads (lambda (a b)
                              (let ((pa (or (plist-get a :priority) 9))
                                    (pb (or (plist-get b :priority) 9)))
                                (if (/= pa pb) (< pa pb)
                                  (string< (or (plist-get a :created_at) "")
                                           (or (plist-get b :created_at) "")))))))
    (anvillm-rows-draw (cl-loop for bead in beads when (anvillm-beads--shown-p bead) collect
                                (plist-get bead :id))
                       #'anvillm-beads--line #'anvillm-beads--guide)))

(defun anvillm-beads--guide ()
  "Say what to do where there is nothing to show."
  (insert (substitute-command-keys
           (if (= 0 (hash-table-count anvillm-beads--all))
               "\n  No beads.  \\[anvillm-beads-new] makes one.\n"
             (format "\n  No beads that are %s.  \\[anvillm-beads-cycle] shows others.\n"
                     anvillm-beads--show)))))

(defvar anvillm-beads-mode-map (anvillm-bindings-map 'beads special-mode-map)
  "Keys of the list of beads.")

(define-derived-mode anvillm-beads-mode tabulated-list-mode "AnviLLM-Beads"
  "The beads: tasks, and what blocks them.

\\{anvillm-beads-mode-map}"
  :interactive nil
  (setq-local tabulated-list-format
              [("Id" 12 nil) ("Pri" 3 nil) ("Status" 11 nil) ("Type" 8 nil) ("Assignee" 16 nil)
               ("Title" 0 nil)]
              tabulated-list-padding 2
              revert-buffer-function (lambda (&rest _) (anvillm-beads-refresh))
              mode-line-process '(:eval (format " %s" anvillm-beads--show))
              truncate-lines t
              anvillm-client t)
  (add-hook 'anvillm-event-functions #'anvillm-beads--event)
  (add-hook 'anvillm-link-hook #'anvillm-beads--link-changed)
  (anvillm-window-keeps-text)
  (hl-line-mode)
  (tabulated-list-init-header))

(defun anvillm-beads--each (function)
  "Call FUNCTION in every buffer about beads that can ask the daemon."
  (when (anvillm-9p-live-p anvillm-link-conn)
    (dolist (buffer (buffer-list))
      (when (memq (buffer-local-value 'major-mode buffer) '(anvillm-beads-mode anvillm-bead-mode))
        (with-current-buffer buffer (funcall function))))))

(defun anvillm-beads--again ()
  "Read the content of this buffer again."
  (if anvillm-bead--id (anvillm-bead-refresh) (anvillm-beads-refresh)))

(defun anvillm-beads--event (event)
  "Show what EVENT has changed."
  (when (anvillm-event-changes-p event "beads") (anvillm-beads--each #'anvillm-beads--again)))

(defun anvillm-beads--link-changed ()
  "Read all again when the link is up again."
  (when (eq (anvillm-link-status) 'live) (anvillm-beads--each #'anvillm-beads--again)))

;;;###autoload
(defun anvillm-beads ()
  "Show the beads: tasks, and what blocks them."
  (interactive)
  (anvillm-conn)
  (let ((buffer (get-buffer-create "*anvillm beads*")))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-beads-mode) (anvillm-beads-mode))
      (anvillm-beads-refresh))
    (pop-to-buffer buffer)))

(defun anvillm-beads-cycle ()
  "Show open beads, then only those that are ready, then all."
  (interactive)
  (setq anvillm-beads--show (pcase anvillm-beads--show ('open 'ready) ('ready 'all) (_ 'open)))
  (message "Beads: %s" anvillm-beads--show)
  (anvillm-beads-refresh))

;;;; Commands

(defun anvillm-beads--id ()
  "Return the id of the bead at hand, or signal a `user-error'."
  (or anvillm-bead--id (tabulated-list-get-id) (user-error "No bead here")))

(defun anvillm-beads--run (&rest words)
  "Give the daemon the command of WORDS."
  (anvillm-write "beads/ctl" (concat (mapconcat #'anvillm-quote words " ") "\n")
                 (anvillm-then (car words)
                               (lambda (_)
                                 (message "%s"
                                          (string-join (cl-subseq words 0 (min 2 (length words)))
                                                       " "))
                                 (anvillm-beads--again)))))

(defun anvillm-beads-new (title)
  "Make a bead with TITLE; its description can be written afterwards with E."
  (interactive (list (read-string "New bead: ")))
  (when (string-blank-p title) (user-error "A bead needs a title"))
  (anvillm-beads--run "new" title))

(defun anvillm-beads-claim ()
  "Claim the bead here for yourself."
  (interactive)
  (anvillm-beads--run "claim" (anvillm-beads--id)))

(defun anvillm-beads-unclaim ()
  "Give the bead here back."
  (interactive)
  (anvillm-beads--run "unclaim" (anvillm-beads--id)))

(defun anvillm-beads-close ()
  "Complete the bead here."
  (interactive)
  (anvillm-beads--run "complete" (anvillm-beads--id)))

(defun anvillm-beads-fail (reason)
  "Mark the bead here as failed for REASON; its dependents stay blocked."
  (interactive (progn (anvillm-beads--id) (list (read-string "It failed because: "))))
  (anvillm-beads--run "fail" (anvillm-beads--id) reason))

(defun anvillm-beads-reopen ()
  "Open the bead here again."
  (interactive)
  (anvillm-beads--run "reopen" (anvillm-beads--id)))

(defun anvillm-beads--read (prompt)
  "Ask for a bead with PROMPT."
  (let* ((list (cl-find-if (lambda (b) (eq (buffer-local-value 'major-mode b) 'anvillm-beads-mode))
                           (buffer-list)))
         (all (and list (buffer-local-value 'anvillm-beads--all list))) rows)
    (when all (maphash (lambda (id bead) (push (cons id (plist-get bead :title)) rows)) all))
    (completing-read prompt
                     (lambda (string predicate action)
                       (if (eq action 'metadata)
                           `(metadata (category . anvillm-bead)
                                      (annotation-function . ,(lambda (id)
                                                                (concat "  "
                                                                        (cdr (assoc id rows))))))
                         (complete-with-action action rows string predicate))))))

(defun anvillm-beads-depend (other)
  "Let the bead here wait until the bead OTHER is done.
In the words of `dep', the bead here is the parent and OTHER its child."
  (interactive (progn (anvillm-beads--id) (list (anvillm-beads--read "Wait for bead: "))))
  (anvillm-beads--run "dep" other (anvillm-beads--id)))

(defun anvillm-beads-undepend (other)
  "Let the bead here no longer wait for the bead OTHER."
  (interactive (progn (anvillm-beads--id) (list (anvillm-beads--read "No longer wait for: "))))
  (anvillm-beads--run "undep" other (anvillm-beads--id)))

(defun anvillm-beads-edit (key value)
  "Set KEY of the bead here to VALUE."
  (interactive
   (let* ((id (anvillm-beads--id))
          (key (completing-read (format "Set of %s: " id)
                                '("title" "priority" "status" "issue_type" "assignee" "due_at"
                                  "defer_until") nil t)))
     (list key (read-string (format "%s: " (capitalize key))))))
  (anvillm-beads--run "update" (anvillm-beads--id) (format "%s=%s" key value)))

(defun anvillm-beads-describe ()
  "Write the description of the bead here."
  (interactive)
  (let ((id (anvillm-beads--id)))
    (anvillm-compose-open
     (format "*description of %s*" id) (concat "Description of " id) (concat "bead-" id)
     (lambda (text done)
       (anvillm-write "beads/ctl"
                      (concat (mapconcat #'anvillm-quote
                                         (list "update" id (concat "description=" text)) " ") "\n")
                      (lambda (_ err) (funcall done (and err (anvillm-sentence err))))))
     (or (plist-get (or anvillm-bead--bead (gethash id anvillm-beads--all)) :description) ""))))

(defun anvillm-beads-label (label)
  "Put LABEL on the bead here."
  (interactive (progn (anvillm-beads--id) (list (read-string "Label: "))))
  (anvillm-beads--run "label" (anvillm-beads--id) label))

(defun anvillm-beads-comment (text)
  "Add the comment TEXT to the bead here."
  (interactive (progn (anvillm-beads--id) (list (read-string "Comment: "))))
  (anvillm-beads--run "comment" (anvillm-beads--id) text))

(defun anvillm-beads-copy-id ()
  "Copy the id of the bead here."
  (interactive)
  (kill-new (anvillm-beads--id))
  (message "%s" (anvillm-beads--id)))

(defun anvillm-beads-send (id)
  "Write a prompt about the bead here to the session ID."
  (interactive (progn (anvillm-beads--id) (list (anvillm-read-session "Prompt about it to: "))))
  (let* ((bead (anvillm-beads--id))
         (title (plist-get (and anvillm-beads--all (gethash bead anvillm-beads--all)) :title)))
    (anvillm-compose-with (list id)
                          (format "Work on bead %s%s" bead (if title (concat ": " title) "")))))

;;;; One bead

(defvar anvillm-bead-mode-map (anvillm-bindings-map 'bead special-mode-map)
  "Keys of a bead.")

(define-derived-mode anvillm-bead-mode special-mode "AnviLLM-Bead"
  "One bead.

\\{anvillm-bead-mode-map}"
  :interactive nil
  (setq-local revert-buffer-function (lambda (&rest _) (anvillm-bead-refresh))
        anvillm-client t)
  (anvillm-window-keeps-text)
  (visual-line-mode))

(defun anvillm-bead (id)
  "Show the bead ID in detail."
  (interactive (list (anvillm-beads--id)))
  (with-current-buffer (get-buffer-create (format "*anvillm bead %s*" id))
    (unless (derived-mode-p 'anvillm-bead-mode)
      (anvillm-bead-mode)
      (setq anvillm-bead--id id))
    (anvillm-bead-refresh)
    (pop-to-buffer (current-buffer))))

(defun anvillm-bead-refresh ()
  "Read this bead again."
  (interactive)
  (anvillm-read (format "beads/%s/json" anvillm-bead--id)
                (anvillm-then "bead" (lambda (bytes)
                                       (anvillm-drawing ((at (point)))
                                         (erase-buffer)
                                         (setq anvillm-bead--bead (anvillm-json bytes))
                                         (anvillm-bead--insert anvillm-bead--bead)
                                         (goto-char (min at (point-max))))))))

(defun anvillm-bead--field (title value)
  "Insert TITLE and VALUE, unless there is none."
  (unless (member value '(nil ""))
    (insert (propertize (format "%-12s" title) 'face 'anvillm-heading) (format "%s" value) "\n")))

(defun anvillm-bead--date (text)
  "Return TEXT, a time, as it is shown."
  (let ((time (anvillm-time text))) (if time (anvillm-clock time) text)))

(defun anvillm-bead--insert (bead)
  "Insert BEAD."
  (insert (propertize (or (plist-get bead :title) "") 'face '(anvillm-name anvillm-heading)) "\n\n")
  (anvillm-bead--field "Id" (plist-get bead :id))
  (anvillm-bead--field "Status" (anvillm-beads--status bead))
  (anvillm-bead--field "Type" (plist-get bead :issue_type))
  (anvillm-bead--field "Priority" (plist-get bead :priority))
  (anvillm-bead--field "Assignee"
                       (let ((who (plist-get bead :assignee))) (and who (anvillm-beads--who who))))
  (anvillm-bead--field "Labels"
                       (and (plist-get bead :labels) (string-join (plist-get bead :labels) ", ")))
  (anvillm-bead--field "Created" (anvillm-bead--date (plist-get bead :created_at)))
  (anvillm-bead--field "Updated" (anvillm-bead--date (plist-get bead :updated_at)))
  (anvillm-bead--field "Closed" (anvillm-bead--date (plist-get bead :closed_at)))
  (anvillm-bead--field "Due" (anvillm-bead--date (plist-get bead :due_at)))
  (anvillm-bead--field "Deferred" (anvillm-bead--date (plist-get bead :defer_until)))
  (anvillm-bead--field "Reason" (plist-get bead :close_reason))
  (anvillm-bead--field "Blocked" (plist-get (plist-get bead :metadata) :blocked_reason))
  (dolist (dep (plist-get bead :dependencies))
    (anvillm-bead--field (string-replace "-" " " (capitalize (or (plist-get dep :type) "blocks")))
                         (plist-get dep :depends_on_id)))
  (dolist (part '((:description . "Description") (:design . "Design")
                  (:acceptance_criteria . "Acceptance") (:notes . "Notes")))
    (let ((text (plist-get bead (car part))))
      (unless (member text '(nil ""))
        (insert "\n" (propertize (cdr part) 'face 'anvillm-heading) "\n\n" (string-trim-right text)
                "\n"))))
  (dolist (comment (plist-get bead :comments))
    (insert "\n"
            (propertize (anvillm-beads--who (or (plist-get comment :author) "")) 'face
                        'anvillm-heading)
            (propertize (concat "  " (anvillm-bead--date (plist-get comment :created_at)))
                        'face 'anvillm-id)
            "\n\n" (or (plist-get comment :text) "") "\n")))

(provide 'anvillm-beads)
;;; anvillm-beads.el ends here
