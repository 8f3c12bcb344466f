;;; anvillm-tools.el --- What this Emacs can tell an agent  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The tools that an agent may ask for, as a table.  Each gets the question and
;; its arguments, which were checked, and returns a plist, or nil if it answers
;; later.  Everything is told of files that are open: none is visited, since
;; modes, hooks and language servers would run then.  A list is a vector.

;;; Code:

(require 'anvillm-editor)
(require 'anvillm-proposal)
(require 'imenu)
(require 'xref)

(declare-function flymake-diagnostics "flymake" (&optional beg end))
(declare-function flymake-diagnostic-beg "flymake" (diag))
(declare-function flymake-diagnostic-text "flymake" (diag))
(declare-function flymake-diagnostic-type "flymake" (diag))
(declare-function flycheck-error-line "ext:flycheck" (err))
(declare-function flycheck-error-column "ext:flycheck" (err))
(declare-function flycheck-error-level "ext:flycheck" (err))
(declare-function flycheck-error-message "ext:flycheck" (err))
(declare-function flycheck-error-checker "ext:flycheck" (err))
(defvar flycheck-current-errors)

(defconst anvillm-tools--most 500 "Most entries of a list.")
(defconst anvillm-tools--longest 1000 "Most characters of a text in a list.")

;;;###autoload
(defun anvillm-editor-tools ()
  "Return the tools: (NAME FUNCTION (KEY TYPE [REQUIRED])...)."
  '(("definitions" anvillm-tools-definitions
     (:file file t) (:identifier text) (:line natural) (:column natural))
    ("references" anvillm-tools-references
     (:file file t) (:identifier text) (:line natural) (:column natural))
    ("symbols" anvillm-tools-symbols (:file file t))
    ("diagnostics" anvillm-tools-diagnostics (:file file))
    ("buffers" anvillm-tools-buffers)
    ("selection" anvillm-tools-selection)
    ("eldoc" anvillm-tools-eldoc (:file file t) (:line natural t) (:column natural))
    ("project" anvillm-tools-project)
    ("open_diff" anvillm-proposal-asked (:file file t) (:content text t))))

;;;; What answers are made of

(defun anvillm-tools--flag (value)
  "Return VALUE as a truth value of JSON."
  (if value t :json-false))

(defun anvillm-tools--text (text)
  "Return TEXT, without properties, if it is short enough, else its beginning."
  (let ((text (substring-no-properties (or text ""))))
    (if (<= (length text) anvillm-tools--longest) text
      (concat (substring text 0 anvillm-tools--longest) "…"))))

(defun anvillm-tools--list (key entries)
  "Return a plist with ENTRIES as KEY; what is too many is counted."
  (let ((more (- (length entries) anvillm-tools--most)))
    (append (list key (vconcat (seq-take entries anvillm-tools--most)))
            (and (> more 0) (list :left_out more)))))

(defun anvillm-tools--of (buffer)
  "Return what is in every answer about BUFFER.
That is its file, and whether it is modified."
  (list :file (anvillm-editor-real-file buffer)
        :modified (anvillm-tools--flag (buffer-modified-p buffer))))

(defun anvillm-tools--place (position)
  "Return the line and column of POSITION in this buffer."
  (save-excursion
    (goto-char position)
    (list :line (line-number-at-pos nil t) :column (- (point) (line-beginning-position)))))

(defmacro anvillm-tools--at (question arguments &rest body)
  "Do BODY in the buffer of QUESTION that ARGUMENTS name, at their place.
What it returns, a plist, is told with the file of the buffer."
  (declare (indent 2))
  `(with-current-buffer (anvillm-editor-buffer ,question (plist-get ,arguments :file))
     (append (anvillm-tools--of (current-buffer))
             (save-excursion
               (save-restriction
                 (widen)
                 (anvillm-tools--go ,arguments)
                 ,@body)))))

(defun anvillm-tools--go (arguments)
  "Go to the line and column of ARGUMENTS, if they have one."
  (when (plist-get arguments :line)
    (goto-char (point-min))
    (forward-line (1- (plist-get arguments :line)))
    (forward-char (min (or (plist-get arguments :column) 0) (- (line-end-position) (point))))))

;;;; Xref

(defun anvillm-tools--identifier (backend arguments)
  "Return the identifier that ARGUMENTS name, or BACKEND sees where they lead."
  (or (plist-get arguments :identifier)
      (and (plist-get arguments :line) (xref-backend-identifier-at-point backend))
      (user-error "Give an identifier, or the line and column of one")))

(defun anvillm-tools--xrefs (question items)
  "Return a plist of ITEMS, of xref, of which QUESTION may hear."
  (let ((hidden 0) found)
    (dolist (item items)
      (let* ((location (xref-item-location item)) (group (xref-location-group location))
             (file (and (stringp group) (not (file-remote-p group))
                        (let ((file-name-handler-alist nil)) (file-truename group)))))
        (if (not (and file (anvillm-editor-allowed-p question file)))
            (setq hidden (1+ hidden))
          (push (append (list :file file)
                        (let ((line (xref-location-line location))) (and line (list :line line)))
                        (list :text (anvillm-tools--text (xref-item-summary item))))
                found))))
    (append (anvillm-tools--list :found (nreverse found))
            (and (> hidden 0) (list :not_shown hidden)))))

(defun anvillm-tools--backend ()
  "Return the backend of xref in this buffer."
  (let ((backend (xref-find-backend)))
    ;; It would ask for a file of tags.
    (when (and (eq backend 'etags)
               (not (bound-and-true-p tags-table-list)) (not (bound-and-true-p tags-file-name)))
      (user-error "Emacs knows no definitions here: no language server runs, and there is no TAGS"))
    backend))

(defun anvillm-tools-definitions (question arguments)
  "Return where the thing is defined that QUESTION is about, by ARGUMENTS."
  (anvillm-tools--at question arguments
    (let ((backend (anvillm-tools--backend)))
      (anvillm-tools--xrefs
       question
       (xref-backend-definitions backend (anvillm-tools--identifier backend arguments))))))

(defun anvillm-tools--knows-references-p (backend)
  "Return non-nil if BACKEND of xref has references of its own.
Others have programs look through all of a directory."
  (cl-some (lambda (form) (cl-find-method #'xref-backend-references nil (list form t)))
           `((eql ,backend) (eql ',backend))))

(defun anvillm-tools-references (question arguments)
  "Return where the thing is used that QUESTION is about, by ARGUMENTS."
  (anvillm-tools--at question arguments
    (let* ((backend (xref-find-backend))
           (name (anvillm-tools--identifier backend arguments)))
      (if (anvillm-tools--knows-references-p backend)
          (anvillm-tools--xrefs question (xref-backend-references backend name))
        (append (list :searched "the files that are open in Emacs")
                (anvillm-tools--list :found (anvillm-tools--uses question name)))))))

(defun anvillm-tools--uses (question name)
  "Return the places of NAME, as a symbol, in the buffers of QUESTION."
  (let ((regexp (concat "\\_<" (regexp-quote (substring-no-properties name)) "\\_>"))
        (case-fold-search nil) found)
    (dolist (buffer (anvillm-editor-buffers question))
      (with-current-buffer buffer
        (save-excursion
          (save-restriction
            (widen)
            (goto-char (point-min))
            (while (and (<= (length found) anvillm-tools--most) (re-search-forward regexp nil t))
              (push (list :file (anvillm-editor-real-file buffer)
                          :line (line-number-at-pos nil t)
                          :text (anvillm-tools--text (buffer-substring (line-beginning-position)
                                                                       (line-end-position))))
                    found)
              (forward-line))))))
    (nreverse found)))

;;;; Imenu

(defun anvillm-tools-symbols (question arguments)
  "Return the symbols of the file of QUESTION, by ARGUMENTS."
  (anvillm-tools--at question arguments
    (let ((imenu-use-markers nil))
      (anvillm-tools--list
       :symbols (anvillm-tools--index (condition-case err (funcall imenu-create-index-function)
                                        (imenu-unavailable (user-error "%s" (cadr err))))
                                      "")))))

(defun anvillm-tools--index (index above)
  "Return the entries of INDEX, of imenu, below the name ABOVE."
  (let (found)
    (pcase-dolist (`(,name . ,to) index)
      (let* ((path (concat above (substring-no-properties name)))
             (at (if (and (consp to) (not (consp (car to)))) (car to) to))
             (at (if (overlayp at) (overlay-start at) at)))
        (cond ((not (integer-or-marker-p at))
               (when (consp to)
                 (setq found (nconc found (anvillm-tools--index to (concat path " / "))))))
              ;; Less than that is the entry that looks again.
              ((> (+ at 0) 0)
               (setq found (nconc found (list (append (list :name (anvillm-tools--text path))
                                                      (anvillm-tools--place at)))))))))
    found))

;;;; Diagnostics

(defun anvillm-tools-diagnostics (question arguments)
  "Return the diagnostics of the file of QUESTION, by ARGUMENTS, or of all."
  (let* ((file (plist-get arguments :file)) checked
         (all (cl-loop for buffer in (if file (list (anvillm-editor-buffer question file))
                                       (anvillm-editor-buffers question))
                       when (anvillm-tools--checked-p buffer)
                       do (setq checked t)
                       and append (with-current-buffer buffer (anvillm-tools--diagnostics)))))
    (unless (or checked (not file)) (user-error "Neither flymake nor flycheck is on in %s" file))
    (append (and file (anvillm-tools--of (anvillm-editor-buffer question file)))
            (anvillm-tools--list :diagnostics all))))

(defun anvillm-tools--checked-p (buffer)
  "Return non-nil if BUFFER has diagnostics."
  (or (and (boundp 'flymake-mode) (buffer-local-value 'flymake-mode buffer))
      (and (boundp 'flycheck-mode) (buffer-local-value 'flycheck-mode buffer))))

(defun anvillm-tools--diagnostics ()
  "Return what flymake and flycheck say of this buffer."
  (let ((of (anvillm-tools--of (current-buffer))))
    (append
     (and (bound-and-true-p flymake-mode)
          (mapcar (lambda (one)
                    (append of (anvillm-tools--place (flymake-diagnostic-beg one))
                            (list :severity (string-remove-prefix
                                             ":" (format "%s" (flymake-diagnostic-type one)))
                                  :text (anvillm-tools--text (flymake-diagnostic-text one))
                                  :source "flymake")))
                  (flymake-diagnostics)))
     (and (bound-and-true-p flycheck-mode)
          (mapcar (lambda (one)
                    (append of (list :line (or (flycheck-error-line one) 1)
                                     :column (max 0 (1- (or (flycheck-error-column one) 1)))
                                     :severity (format "%s" (flycheck-error-level one))
                                     :text (anvillm-tools--text (flycheck-error-message one))
                                     :source (format "%s" (flycheck-error-checker one)))))
                  flycheck-current-errors)))))

;;;; Buffers, the region, the project

(defun anvillm-tools-buffers (question _arguments)
  "Return the files that are open of which QUESTION may hear."
  (anvillm-tools--list
   :buffers (mapcar (lambda (buffer)
                      (append (anvillm-tools--of buffer)
                              (list :mode (symbol-name (buffer-local-value 'major-mode buffer))
                                    :visible (anvillm-tools--flag (get-buffer-window buffer t)))))
                    (anvillm-editor-buffers question))))

(defun anvillm-tools-selection (question _arguments)
  "Return what the user looked at last of which QUESTION may hear."
  (let ((buffer (or (car (anvillm-editor-buffers question))
                    (user-error "No file that this session sees is open in Emacs"))))
    (with-current-buffer buffer
      (append (anvillm-tools--of buffer)
              (anvillm-tools--place (let ((window (get-buffer-window buffer t)))
                                      (if window (window-point window) (point))))
              (list :selected (anvillm-tools--flag (eq buffer (window-buffer))))
              (and (region-active-p) (anvillm-tools--region))))))

(defun anvillm-tools--region ()
  "Return the region of this buffer."
  (let ((start (region-beginning)) (end (region-end)))
    (when (> (- end start) anvillm-editor-most) (user-error "The region is too large"))
    (list :region (buffer-substring-no-properties start end)
          :from (anvillm-tools--numbers start) :to (anvillm-tools--numbers end))))

(defun anvillm-tools--numbers (position)
  "Return the line and column of POSITION as an array."
  (let ((place (anvillm-tools--place position)))
    (vector (plist-get place :line) (plist-get place :column))))

(defun anvillm-tools-project (question _arguments)
  "Return the root of the project of QUESTION, and its files that are open."
  (let* ((root (anvillm-project-root (anvillm-editor-question-cwd question)))
         (real (directory-file-name (let ((file-name-handler-alist nil)) (file-truename root))))
         (shown (anvillm-editor-allowed-p question real)))
    (append (list :root (if shown real (anvillm-editor-question-cwd question)))
            (anvillm-tools--list
             :open (cl-loop for buffer in (anvillm-editor-buffers question)
                            for file = (anvillm-editor-real-file buffer)
                            when (string-prefix-p (file-name-as-directory real) file)
                            collect (anvillm-tools--of buffer))))))

;;;; Eldoc

(defun anvillm-tools-eldoc (question arguments)
  "Tell what eldoc knows of the place of QUESTION, by ARGUMENTS, when it does."
  (let* ((hears (anvillm-tools--hearing))
         (of (anvillm-tools--at question arguments
               (run-hook-wrapped 'eldoc-documentation-functions
                                 (lambda (function) (anvillm-tools--hear hears function) nil))
               (anvillm-tools--place (point)))))
    (anvillm-tools--when-heard
     hears (lambda (said)
             (let ((result (append of (list :said (vconcat said)))))
               (anvillm-editor-reply question (list :result result)))))
    nil))

(cl-defstruct (anvillm-tools--hearing (:copier nil) (:constructor anvillm-tools--hearing))
  "What functions of eldoc have said, how many have not, and who is told of it."
  said (waits 0) told timer)

(defun anvillm-tools--hear (hears function)
  "Let HEARS have what comes of FUNCTION, of eldoc, at point, now or later."
  (let* ((heard nil)
         (hear (lambda (text &rest _)
                 (unless heard
                   (setq heard t)
                   (when (stringp text)
                     (push (anvillm-tools--text text) (anvillm-tools--hearing-said hears)))
                   (cl-decf (anvillm-tools--hearing-waits hears))
                   (anvillm-tools--heard hears)))))
    (cl-incf (anvillm-tools--hearing-waits hears))
    (let ((value (funcall function hear)))
      (when (or (stringp value) (null value)) (funcall hear value)))))

(defun anvillm-tools--when-heard (hears told)
  "Call TOLD with what HEARS has when all have said something, or after a while."
  (setf (anvillm-tools--hearing-told hears) told
        (anvillm-tools--hearing-timer hears)
        (run-with-timer 3 nil (lambda () (anvillm-tools--heard hears t))))
  (anvillm-tools--heard hears))

(defun anvillm-tools--heard (hears &optional enough)
  "Tell what HEARS has if that is all there is, or ENOUGH."
  (when (and (anvillm-tools--hearing-told hears)
             (or enough (<= (anvillm-tools--hearing-waits hears) 0)))
    (cancel-timer (anvillm-tools--hearing-timer hears))
    (funcall (cl-shiftf (anvillm-tools--hearing-told hears) nil)
             (reverse (anvillm-tools--hearing-said hears)))))

(provide 'anvillm-tools)
;;; anvillm-tools.el ends here
