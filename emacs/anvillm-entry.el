;;; anvillm-entry.el --- What an agent does, drawn  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; An entry is what belongs together in a conversation: a text; a tool with its
;; output and its edits; a question and its answer.  It is made of the objects
;; of the file `activity' that have the same id.  Here is how each is drawn, at
;; point, in one go.  What is long is behind a line that unfolds, and is put
;; into the buffer only then.

;;; Code:

(require 'anvillm-core)
(require 'anvillm-said)
(require 'anvillm-look)
(require 'anvillm-session)
(require 'anvillm-text)
(require 'diff-mode)

(declare-function anvillm-ask-insert "anvillm-ask" (ask &optional over))

(defface anvillm-you '((t :inherit font-lock-string-face))
  "What you have asked."
  :group 'anvillm-faces)
(defface anvillm-you-heading '((t :inherit (anvillm-you bold)))
  "The heading of what you have asked."
  :group 'anvillm-faces)
(defface anvillm-tool '((t :inherit font-lock-function-name-face))
  "The name of a tool that an agent uses."
  :group 'anvillm-faces)

(defcustom anvillm-unfold-lines 25
  "Edits of up to so many lines are shown unfolded."
  :type 'natnum
  :group 'anvillm)

;;;; Drawing

(defun anvillm-entry-insert (entry)
  "Draw ENTRY at point."
  (let ((start (point)))
    (when (anvillm-entry-heads entry) (anvillm-entry--head entry))
    (let ((inner (point)))
      (pcase (anvillm-entry-kind entry)
        ("prompt" (anvillm-entry--prompt entry))
        ("text" (anvillm-entry--words entry))
        ("thinking" (anvillm-entry--thinking entry))
        ((or "tool" "output" "edit") (anvillm-entry--tool entry))
        ((or "ask" "decision") (anvillm-entry--ask entry))
        ("plan" (anvillm-entry--plan entry))
        ("end" (anvillm-entry--end entry))
        (_ (anvillm-entry--line entry)))
      (when (and (anvillm-entry-parent entry) (< inner (point)))
        (add-text-properties inner (point) '(line-prefix "    " wrap-prefix "    "))))
    (put-text-property start (point) 'anvillm-entry entry)
    (setf (anvillm-entry-drawn entry) t)))

(defun anvillm-entry--heading (name time face)
  "Insert a heading: NAME and TIME, in FACE."
  (let ((start (point)))
    (insert (propertize name 'face face)
            (propertize (concat "  " (anvillm-clock time)) 'face 'anvillm-id) "\n")
    (put-text-property start (1- (point)) 'anvillm-head t)))

(defun anvillm-entry--head (entry)
  "Insert the heading over what the agent does in the turn of ENTRY."
  (anvillm-entry--heading (anvillm-name anvillm-buffer-session) (anvillm-entry-time entry)
                          'anvillm-heading))

(defun anvillm-entry--prompt (entry)
  "Insert the prompt of ENTRY."
  (let* ((prompt (anvillm-entry-get entry "prompt")) (origin (plist-get prompt :origin)))
    (unless (or (bobp) (and (eq (char-before) ?\n) (eq (char-before (1- (point))) ?\n)))
      (insert "\n"))
    (anvillm-entry--heading (pcase origin
                              ("mail" "Mail")
                              ("agent" (concat (anvillm-name anvillm-buffer-session) ", by itself"))
                              ("typed" "You, in the terminal")
                              (_ "You"))
                            (anvillm-entry-time entry) 'anvillm-you-heading)
    (insert (propertize (string-trim-right (or (plist-get prompt :text) "") "\n+") 'face
                        'anvillm-you) "\n")))

(defun anvillm-entry--words (entry)
  "Insert the words of ENTRY."
  (unless (plist-get (anvillm-entry-get entry "text") :void)
    (unless (or (anvillm-entry-heads entry) (bobp)
                (and (eq (char-before) ?\n) (eq (char-before (1- (point))) ?\n)))
      (insert "\n"))
    (let ((start (point)) (text (anvillm-entry-coloured entry "text")))
      (insert (if (anvillm-entry-parts entry) text (string-trim-right text "\n+")) "\n\n")
      (unless (anvillm-entry-colours entry "text") ; a terminal's, not Markdown
        (anvillm-look-later start (1- (point)))))))

(defun anvillm-entry--fold (open)
  "Insert the mark of a line that unfolds; it is OPEN if that is non-nil."
  (insert (propertize (if open "▾ " "▸ ") 'face 'anvillm-id 'mouse-face 'highlight 'help-echo
                      "TAB: fold or unfold")))

(defun anvillm-entry--seconds (seconds)
  "Return SECONDS in few characters, behind a blank; nothing if it is short."
  (cond ((or (not (numberp seconds)) (< seconds 0.1)) "")
        ((< seconds 60) (format " %.1f s" seconds))
        (t (format " %d:%02d" (/ (floor seconds) 60) (% (floor seconds) 60)))))

(defun anvillm-entry--thinking (entry)
  "Insert the thought of ENTRY, over or not."
  (let* ((it (anvillm-entry-get entry "thinking")) (text (anvillm-entry-text entry "thinking"))
         (open (eq 'open (anvillm-entry-open entry))))
    (if (string-blank-p text) (insert "· ") (anvillm-entry--fold open))
    (insert (propertize (concat (if (plist-get it :on) "Thinking…" "Thought")
                                (anvillm-entry--seconds (plist-get it :seconds)))
                        'face 'shadow)
            "\n")
    (when (and open (not (string-blank-p text)))
      (insert (propertize (string-trim-right text) 'face 'shadow 'line-prefix "  " 'wrap-prefix
                          "  ") "\n"))))

(defun anvillm-entry--sign (end)
  "Return the sign for END, how a tool ended, or that it has not."
  (pcase end
    ('nil (propertize "…" 'face 'anvillm-running))
    ("ok" (propertize "✓" 'face 'anvillm-good))
    (_ (propertize (concat "✗ " end) 'face 'anvillm-error))))

(defun anvillm-entry--tool (entry)
  "Insert the tool of ENTRY: one line; unfolded, what went in and what came out."
  (let* ((tool (anvillm-entry-get entry "tool")) (output (anvillm-entry-get entry "output"))
         (edits (anvillm-entry-edits entry)) (end (plist-get output :end))
         (open (anvillm-entry--open-p entry edits)))
    (anvillm-entry--fold open)
    (insert (propertize (or (plist-get tool :name) (if edits "Edit" "Tool")) 'face 'anvillm-tool)
            (let ((title (anvillm-one-line (or (plist-get tool :title) (plist-get (car edits) :path)
                                               ""))))
              (if (string-empty-p title) ""
                (concat ": " (truncate-string-to-width title 300 nil nil "…"))))
            "  "
            (if (or tool output) (anvillm-entry--sign end) "")
            (let ((exit (plist-get output :exit)))
              (if (member exit '(nil 0)) "" (format " exit %s" exit)))
            (propertize (anvillm-entry--seconds (plist-get output :seconds)) 'face 'shadow)
            (mapconcat #'anvillm-entry--counts edits "")
            "\n")
    (when open
      (let ((start (point)))
        (anvillm-entry--input tool (cons (plist-get tool :title)
                                         (mapcar (lambda (edit) (plist-get edit :path)) edits)))
        (dolist (edit edits) (anvillm-entry--edit edit (null (cdr edits))))
        (anvillm-entry--output entry output)
        (add-text-properties start (point) '(line-prefix "  " wrap-prefix "  "))))))

(defun anvillm-entry--open-p (entry edits)
  "Return non-nil if the tool ENTRY is unfolded; a few EDITS are at first."
  (pcase (anvillm-entry-open entry)
    ('open t)
    ('closed nil)
    (_ (and edits
            (<= (cl-loop for edit in edits sum
                         (+ (or (plist-get edit :added) 0) (or (plist-get edit :removed) 0)))
                anvillm-unfold-lines)))))

(defun anvillm-entry--counts (edit)
  "Return how many lines EDIT has added and removed."
  (let ((added (plist-get edit :added)) (removed (plist-get edit :removed)))
    (concat (if (member added '(nil 0)) "" (propertize (format " +%d" added) 'face 'anvillm-good))
            (if (member removed '(nil 0)) ""
              (propertize (format " −%d" removed) 'face 'anvillm-error)))))

(defun anvillm-entry--input (tool named)
  "Insert what was given to TOOL.
What an edit shows is left out, and files that are NAMED already."
  (cl-loop for (key value) on (plist-get tool :input) by #'cddr
           unless (or (memq key '(:old_string :new_string :content))
                      (and (memq key '(:file :file_path :filePath :path :notebook_path))
                           (cl-some (lambda (path)
                                      (and path (string-suffix-p (concat "/" path)
                                                                 (concat "/" value))))
                                    named)))
           do (let ((value (if (stringp value) value (json-encode value))))
                (insert (propertize (concat (substring (symbol-name key) 1) ": ") 'face 'anvillm-id)
                        (if (eq key :command) (anvillm-text-fontified value 'sh-mode) value)
                        (if (string-suffix-p "\n" value) "" "\n")))))

(defun anvillm-entry--edit (edit named)
  "Insert EDIT as a diff; its file is NAMED before that if that is non-nil."
  (let ((diff (plist-get edit :diff)))
    (when (and diff named (string-match "^@@ " diff))
      (setq diff (substring diff (match-beginning 0))))
    (insert (if (and diff (not (string-blank-p diff)))
                (anvillm-look-as-diff (concat (string-trim-right diff "\n+") "\n"))
              (format "%s %s%s\n" (or (plist-get edit :op) "change") (plist-get edit :path)
                      (if (plist-get edit :to) (concat " to " (plist-get edit :to)) ""))))))

(defun anvillm-entry--output (entry output)
  "Insert the text of OUTPUT in ENTRY; of a long one the middle is left out."
  (let ((text (string-trim-right (anvillm-entry-coloured entry "output") "\n+")))
    (unless (string-empty-p text)
      (insert (anvillm-entry-shortened text 200) "\n"))
    (when (plist-get output :file)
      (insert (propertize (concat "all of it: " (plist-get output :file)) 'face 'shadow) "\n"))))

(defun anvillm-entry-shortened (text lines)
  "Return TEXT with at most LINES lines: its beginning and more of its end."
  (let ((all (split-string text "\n")))
    (if (<= (length all) lines) text
      (let ((left (- (length all) lines)) (first (/ lines 4)))
        (concat (string-join (seq-take all first) "\n")
                "\n"
                (propertize (format "… %d lines left out here (RET shows all)" left) 'face 'shadow
                            'mouse-face 'highlight 'anvillm-whole text)
                "\n"
                (string-join (last all (- lines first)) "\n"))))))

(defun anvillm-entry--ask (entry)
  "Insert the question of ENTRY: with its choices while it is open, or its answer."
  (let* ((ask (anvillm-entry-get entry "ask")) (decision (anvillm-entry-get entry "decision"))
         (open (and (not decision)
                    (cl-find (plist-get ask :id)
                             (anvillm-asks (anvillm-session anvillm-buffer-session))
                             :key (lambda (a) (plist-get a :id)) :test #'equal))))
    (cond (open
           (insert "\n")
           (require 'anvillm-ask)
           (anvillm-ask-insert open))
          (t
           (insert (propertize "? " 'face 'anvillm-waiting)
                   (anvillm-one-line (or (plist-get ask :text) "a question"))
                   (if (not decision) ""
                     (concat "  → "
                             (propertize (anvillm-one-line (or (plist-get decision :choice)
                                                               (plist-get decision :text)
                                                               "not answered"))
                                         'face 'bold)
                             (pcase (plist-get decision :by)
                               ('nil "") ("person" "")
                               (by (propertize (concat "  by " by) 'face 'shadow)))))
                   "\n")))))

(defun anvillm-entry--plan (entry)
  "Insert the plan of ENTRY."
  (dolist (item (plist-get (anvillm-entry-get entry "plan") :items))
    (insert (pcase (plist-get item :state)
              ("done" (propertize "  ☑ " 'face 'anvillm-good))
              ("doing" (propertize "  ▶ " 'face 'anvillm-running))
              ("dropped" "  ☒ ")
              (_ "  ☐ "))
            (anvillm-one-line (or (plist-get item :text) "")) "\n")))

(defun anvillm-entry--end (entry)
  "Insert how the turn of ENTRY ended."
  (let* ((end (anvillm-entry-get entry "end")) (how (plist-get end :how))
         (reason (or (plist-get end :reason) ""))
         (background (or (plist-get end :background) 0)) (seconds (or (plist-get end :seconds) 0)))
    ;; What was answered in a moment needs no line that says so.
    (unless (and (equal how "answer") (< seconds 1) (= background 0))
      (insert (propertize (concat "—" (anvillm-entry--seconds seconds)) 'face 'shadow)
              (if (equal how "answer") ""
                (propertize (concat " " how
                                    (if (string-empty-p reason) ""
                                      (concat ": " (anvillm-one-line reason))))
                            'face 'anvillm-error))
              (if (> background 0) (format "  %d go on in the background" background) "")
              "\n"))))

(defun anvillm-entry--line (entry)
  "Insert ENTRY in one line, with a mark before it."
  (let* ((kind (anvillm-entry-kind entry)) (it (anvillm-entry-get entry kind))
         (get (lambda (key)
                (let ((v (plist-get it key))) (and v (not (equal v "")) (format "%s" v)))))
         (words (lambda (&rest keys) (string-join (delq nil (mapcar get keys)) " "))))
    (insert (propertize
             (pcase kind
               ("retry" (concat "· retry " (funcall words :attempt)
                                (if (funcall get :of) (concat " of " (funcall get :of)) "") ": "
                                (funcall words :reason :status)))
               ("limit" (concat "· limit: " (funcall words :reason)
                                (if (numberp (plist-get it :until))
                                    (format-time-string ", until %a %H:%M" (plist-get it :until))
                                  "")))
               ("compact" (concat "· the conversation is shortened"
                                  (if (equal "done" (funcall get :state)) ": done" "…")))
               ("subagent" (concat "· subagent " (funcall words :name :title)
                                   (if (equal "ended" (funcall get :state)) ": ended" "…")))
               ("session" (concat "· " (funcall words :what :value)))
               (_ (concat "· " (funcall words :text))))
             'face (if (member kind '("retry" "limit")) 'anvillm-error 'shadow))
            "\n")))

(provide 'anvillm-entry)
;;; anvillm-entry.el ends here
