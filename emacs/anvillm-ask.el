;;; anvillm-ask.el --- Answering what an agent asks  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What an agent asks stands in a buffer: the whole command, the diff of an
;; edit, every question that is open.  A choice is a number; no letter is one,
;; so no key of the buffer can answer by chance.  Nothing waits for the answer:
;; the buffer can be left, scrolled and come back to.  What is answered is the
;; question on the screen, or nothing: one that has gone stays there, crossed
;; out, until the buffer is drawn again by hand.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-text)
(require 'anvillm-window)

(declare-function anvillm-compose-open "anvillm-compose" (name title draft send &optional initial))
(declare-function anvillm-sides-of "anvillm-sides" (diff))
(declare-function anvillm-sides-compare "anvillm-sides" (name a b))

(defface anvillm-ask-over '((t :inherit shadow :strike-through t))
  "A question that has gone."
  :group 'anvillm-faces)

(defconst anvillm-ask--format "*anvillm asks %s*" "The name of a buffer of questions.")

(defvar-local anvillm-ask--shown nil "The questions that are drawn here.")
(defvar-local anvillm-ask--chosen nil "What was chosen: ((QUESTION-ID . PART) CHOICE...)...")

;;;; What is asked

(defun anvillm-ask--subject (ask)
  "Return what ASK is about as a plist :diff :command :text.
Agents that tell the input of their tool do so as an object."
  (let* ((detail (or (plist-get ask :detail) ""))
         (given (and (string-prefix-p "{" detail)
                     (ignore-errors (anvillm-json (encode-coding-string detail 'utf-8)))))
         (path (or (plist-get given :file_path) (plist-get given :path)
                   (plist-get given :filePath)))
         (old (or (plist-get given :old_string) (plist-get given :oldString)))
         (new (or (plist-get given :new_string) (plist-get given :newString)
                  (plist-get given :content)))
         (command (plist-get given :command)))
    (cond ((plist-get ask :diff) (list :diff (plist-get ask :diff)))
          ((and (stringp path) (stringp new) (or (null old) (stringp old)))
           (list :diff (anvillm-text-make-diff path (or old "") new)))
          ((stringp command)
           (list :command command :text (anvillm-ask--fields given '(:command))))
          (given (list :text (anvillm-ask--fields given nil)))
          ((string-blank-p detail) nil)
          (t (list :text detail)))))

(defun anvillm-ask--fields (given left-out)
  "Return the fields of GIVEN as lines, without those LEFT-OUT."
  (cl-loop for (key value) on given by #'cddr
           unless (memq key left-out)
           concat (format "%s: %s\n" (substring (symbol-name key) 1)
                          (if (stringp value) value (json-encode value)))))

(defun anvillm-ask--parts (ask)
  "Return the parts of ASK: itself, or the questions in it."
  (let ((parts (append (plist-get ask :questions) nil)))
    (if (cdr parts) parts (list ask))))

(defun anvillm-ask--free-p (ask)
  "Return non-nil if words of one's own answer ASK."
  (or (plist-get ask :free) (plist-get ask :questions) (not (plist-get ask :choices))))

(defun anvillm-ask--same (ask)
  "Return what ASK is known by."
  (list (plist-get ask :id) (plist-get ask :text) (plist-get ask :choices)))

(defun anvillm-ask--open-p (ask)
  "Return non-nil if ASK is still open."
  (member (anvillm-ask--same ask)
          (mapcar #'anvillm-ask--same (anvillm-asks (anvillm-session anvillm-buffer-session)))))

;;;; Drawing

(defun anvillm-ask-insert (ask &optional over)
  "Insert the question ASK with its choices; it is OVER if that is non-nil."
  (let ((start (point)) (subject (anvillm-ask--subject ask)) (parts (anvillm-ask--parts ask)))
    (insert (propertize (string-trim (or (plist-get ask :text) "")) 'face
                        (if over 'anvillm-ask-over 'anvillm-heading)))
    (when over
      (insert (propertize "  over: it was answered elsewhere, or the agent went on" 'face
                          'anvillm-error)))
    (insert "\n")
    (when (plist-get subject :command)
      (insert "\n" (anvillm-text-fontified (plist-get subject :command) 'sh-mode) "\n"))
    (when (plist-get subject :diff)
      (insert "\n" (anvillm-text-diff (concat (string-trim-right (plist-get subject :diff)) "\n"))))
    (when (and (plist-get subject :text) (not (string-blank-p (plist-get subject :text))))
      (insert "\n" (propertize (string-trim-right (plist-get subject :text)) 'face 'shadow) "\n"))
    (insert "\n")
    (cl-loop for part in parts for n from 0 do (anvillm-ask--insert-part ask part n (cdr parts)))
    (put-text-property start (point) 'anvillm-ask ask)
    (when over (put-text-property start (point) 'anvillm-over t))))

(defun anvillm-ask--insert-part (ask part n headed)
  "Insert PART, number N, of ASK; with its own heading if HEADED."
  (let ((start (point)) (chosen (alist-get (cons (plist-get ask :id) n) anvillm-ask--chosen nil nil
                                           #'equal)))
    (when headed
      (insert (propertize (string-trim (or (plist-get part :text) "")) 'face 'anvillm-heading)
              (if (plist-get part :multiple) (propertize "  several may be chosen" 'face 'shadow)
                "") "\n"))
    (cl-loop for choice in (append (plist-get part :choices) nil) for key from 1
             do (insert (propertize (concat "  "
                                            (if (< key 10)
                                                (propertize (number-to-string key) 'face
                                                            'anvillm-key) " ")
                                            (if (member choice chosen) " * " "   ") choice "\n")
                                    'anvillm-choice choice 'mouse-face 'highlight 'help-echo
                                    "mouse-2, RET: choose")))
    (dolist (words chosen)
      (unless (member words (append (plist-get part :choices) nil))
        (insert "    * " words "\n")))
    (put-text-property start (point) 'anvillm-part n)
    (insert "\n")))

(defun anvillm-ask--draw ()
  "Draw the questions of this buffer; point stays with its question and line."
  (anvillm-drawing ((id anvillm-buffer-session) (line (line-number-at-pos))
                    (windows (mapcar (lambda (w)
                                       (list w (line-number-at-pos (window-point w))
                                             (window-start w)))
                                     (get-buffer-window-list nil nil t))))
    (erase-buffer)
    (insert (propertize (anvillm-name id) 'face 'anvillm-name)
            (cond ((not anvillm-ask--shown) " has no open question now")
                  ((cdr anvillm-ask--shown) (format " asks %d things" (length anvillm-ask--shown)))
                  (t (concat " " (propertize "asks" 'face 'anvillm-asks))))
            "\n\n")
    (dolist (ask anvillm-ask--shown)
      (anvillm-ask-insert ask (not (anvillm-ask--open-p ask))))
    (when anvillm-ask--shown (insert (anvillm-ask--keys)))
    (cl-flet ((go (line) (goto-char (point-min)) (forward-line (1- line)) (point)))
      (pcase-dolist (`(,window ,line ,start) windows)
        (set-window-point window (go line))
        (set-window-start window (min start (point-max)) t))
      (go line))))

(defun anvillm-ask--keys ()
  "Return what can be done here, in a few words."
  (substitute-command-keys
   (concat (mapconcat #'identity
                      (delq nil (list (concat "  " (propertize "1-9" 'face 'anvillm-key) " choose")
                                      (and (cl-some #'anvillm-ask--free-p anvillm-ask--shown)
                                           "\\[anvillm-ask-write] answer in your own words")
                                      (and (cl-some (lambda (a) (cdr (anvillm-ask--parts a)))
                                                    anvillm-ask--shown)
                                           "\\[anvillm-ask-send] send all parts")
                                      (and (cl-some (lambda (a)
                                                      (plist-get (anvillm-ask--subject a) :diff))
                                                    anvillm-ask--shown)
                                           "\\[anvillm-ask-ediff] compare")
                                      (and (cdr anvillm-ask--shown)
                                           "\\[anvillm-ask-next] next question")
                                      "\\[quit-window] later"))
                      ", ")
           "\n")))

;;;; The mode

(defvar anvillm-ask-mode-map (anvillm-bindings-map 'ask special-mode-map)
  "Keys where questions are answered.")

(define-derived-mode anvillm-ask-mode special-mode "AnviLLM-Ask"
  "What a session asks.

\\{anvillm-ask-mode-map}"
  :interactive nil
  (setq anvillm-client t)
  (setq-local bidi-display-reordering 'left-to-right)
  (setq-local bidi-inhibit-bpa t)
  (anvillm-window-keeps-text)
  (visual-line-mode)
  (add-hook 'anvillm-session-functions #'anvillm-ask--changed))

(defun anvillm-ask--changed (id)
  "Session ID, or any if it is nil, may ask something else now."
  (dolist (buffer (buffer-list))
    (when (and (eq (buffer-local-value 'major-mode buffer) 'anvillm-ask-mode)
               (or (null id) (equal id (buffer-local-value 'anvillm-buffer-session buffer))))
      (with-current-buffer buffer
        (let* ((now (anvillm-asks (anvillm-session anvillm-buffer-session)))
               (new (cl-remove-if (lambda (a)
                                    (member (anvillm-ask--same a)
                                            (mapcar #'anvillm-ask--same anvillm-ask--shown))) now))
               (gone (cl-remove-if #'anvillm-ask--open-p anvillm-ask--shown)))
          (cond ((and anvillm-ask--shown (not now))
                 (setq anvillm-ask--shown nil)
                 (anvillm-ask--draw)
                 (let ((window (get-buffer-window nil t)))
                   (when (and window (window-parameter window 'quit-restore))
                     (quit-window nil window))))
                ((or new gone)
                 ;; Below what is there: no question takes another's place under a finger.
                 (setq anvillm-ask--shown (append anvillm-ask--shown new))
                 (anvillm-ask--draw))))))))

(defun anvillm-ask-again ()
  "Draw the questions again, without those that are over."
  (interactive)
  (unless (derived-mode-p 'anvillm-ask-mode) (user-error "No questions here"))
  (setq anvillm-ask--shown (anvillm-asks (anvillm-session anvillm-buffer-session)))
  (anvillm-ask--draw))

;;;; Answering

(defun anvillm-ask--here ()
  "Return the question at point, or the only one.
Signal a `user-error' if it is over."
  (let ((ask (or (get-text-property (point) 'anvillm-ask)
                 (and (null (cdr anvillm-ask--shown)) (car anvillm-ask--shown))
                 (and (null (cdr (anvillm-asks (anvillm-session anvillm-buffer-session))))
                      (not (derived-mode-p 'anvillm-ask-mode))
                      (car (anvillm-asks (anvillm-session anvillm-buffer-session)))))))
    (unless ask (user-error "Go to the question that you answer"))
    (unless (anvillm-ask--open-p ask) (user-error "The question is gone; nothing was answered"))
    ask))

(defun anvillm-ask--part-here (ask)
  "Return the number of the part of ASK at point."
  (or (and (equal ask (get-text-property (point) 'anvillm-ask))
           (get-text-property (point) 'anvillm-part))
      (if (cdr (anvillm-ask--parts ask)) (user-error "Go to the part that you answer") 0)))

(defun anvillm-ask-choose ()
  "Give the answer whose number was typed, to the question at point."
  (interactive)
  (let* ((ask (anvillm-ask--here)) (n (anvillm-ask--part-here ask))
         (choice (nth (- last-command-event ?1)
                      (append (plist-get (nth n (anvillm-ask--parts ask)) :choices) nil))))
    (unless choice (user-error "There is no choice %c" last-command-event))
    (anvillm-ask--choose ask n choice)))

(defun anvillm-ask-choose-here (&optional event)
  "Give the answer at point, or at EVENT."
  (interactive (list last-nonmenu-event))
  (when (mouse-event-p event) (posn-set-point (event-end event)))
  (let ((choice (get-text-property (point) 'anvillm-choice)) (ask (anvillm-ask--here)))
    (unless choice (user-error "No choice here"))
    (anvillm-ask--choose ask (anvillm-ask--part-here ask) choice)))

(defun anvillm-ask--choose (ask n choice)
  "Answer part N of ASK with CHOICE: at once, if there is no other part."
  (if (not (cdr (anvillm-ask--parts ask)))
      (anvillm-ask--give ask choice)
    (let* ((key (cons (plist-get ask :id) n)) (part (nth n (anvillm-ask--parts ask)))
           (chosen (alist-get key anvillm-ask--chosen nil nil #'equal)))
      (setf (alist-get key anvillm-ask--chosen nil nil #'equal)
            (cond ((not (plist-get part :multiple)) (list choice))
                  ((member choice chosen) (remove choice chosen))
                  (t (append chosen (list choice)))))
      (when (derived-mode-p 'anvillm-ask-mode) (anvillm-ask--draw)))))

(defun anvillm-ask-send ()
  "Send what was chosen for the parts of the question at point.
Where it has no parts, write an answer."
  (interactive)
  (let* ((ask (anvillm-ask--here)) (parts (anvillm-ask--parts ask)))
    (if (not (cdr parts)) (anvillm-ask-write)
      (let ((answers (cl-loop for n below (length parts)
                              collect (alist-get (cons (plist-get ask :id) n) anvillm-ask--chosen
                                                 nil nil #'equal))))
        (when (memq nil answers)
          (user-error "Not answered yet: %s"
                      (plist-get (nth (cl-position nil answers) parts) :text)))
        (anvillm-ask--give ask
                           (mapconcat (lambda (chosen) (string-join chosen ", ")) answers "\n"))))))

(defun anvillm-ask-write ()
  "Write an answer in your own words; to the part at point, where there are parts."
  (interactive)
  (let* ((ask (anvillm-ask--here)) (id anvillm-buffer-session) (buffer (current-buffer))
         (n (and (cdr (anvillm-ask--parts ask)) (anvillm-ask--part-here ask))))
    (unless (anvillm-ask--free-p ask) (user-error "Only its choices answer this question"))
    (require 'anvillm-compose)
    (anvillm-compose-open
     (format "*answer to %s*" (anvillm-name id))
     (concat "Answer to " (anvillm-name id) ": "
             (truncate-string-to-width
              (anvillm-one-line (or (plist-get (nth (or n 0) (anvillm-ask--parts ask)) :text) ""))
              60 nil nil "…"))
     (format "answer-%s-%s-%d" id (plist-get ask :id) (or n 0))
     (lambda (text done)
       (if (not n) (anvillm-ask--write id ask text done)
         (when (buffer-live-p buffer)
           (with-current-buffer buffer
             (setf (alist-get (cons (plist-get ask :id) n) anvillm-ask--chosen nil nil #'equal)
                   (list (anvillm-one-line text)))
             (anvillm-ask--draw)))
         (funcall done nil))))))

(defun anvillm-ask--write (id ask answer done)
  "Give ANSWER to ASK of session ID, then call DONE with nil or a sentence."
  (anvillm-write (concat id "/answer")
                 (concat (if (plist-get ask :id) (concat (plist-get ask :id) " ") "")
                         (string-trim-right answer) "\n")
                 (lambda (_ err) (funcall done (and err (anvillm-sentence err))))))

(defun anvillm-ask--give (ask answer)
  "Give ANSWER to ASK of this buffer's session and say so."
  (let ((name (anvillm-name anvillm-buffer-session)))
    (anvillm-ask--write anvillm-buffer-session ask answer
                        (lambda (failed)
                          (if failed (message "answer: %s" (propertize failed 'face 'anvillm-error))
                            (message "%s: %s" name (anvillm-one-line answer)))))))

(defun anvillm-ask-ediff ()
  "Compare what the question at point would change, side by side."
  (interactive)
  (require 'anvillm-sides)
  (let* ((diff (plist-get (anvillm-ask--subject (anvillm-ask--here)) :diff))
         (sides (and diff (anvillm-sides-of diff))))
    (unless sides (user-error "There is nothing to compare"))
    (anvillm-sides-compare (anvillm-name anvillm-buffer-session)
                           (cons "now" (car sides)) (cons "proposed" (cdr sides)))))

(defun anvillm-ask-next ()
  "Go to the next question or part, or to the first."
  (interactive)
  (let* ((key (lambda (at)
                (list (plist-get (get-text-property at 'anvillm-ask) :id)
                      (get-text-property at 'anvillm-part))))
         (here (funcall key (point))) (at (point)))
    (while (and (setq at (next-property-change at))
                (let ((there (funcall key at))) (or (null (cadr there)) (equal there here)))))
    (goto-char (or at (point-min)))))

;;;###autoload
(defun anvillm-answer (id)
  "Show what the session ID asks, to be answered."
  (interactive
   (list (let ((here (anvillm-at-point)))
           (if (and here (anvillm-get here :ask)) here
             (let ((asking (cl-remove-if-not (lambda (s) (plist-get s :ask)) (anvillm-sessions))))
               (cond ((not asking) (user-error "No session has an open question"))
                     ((cdr asking) (anvillm-read-session "Answer: " asking))
                     (t (anvillm-id (car asking)))))))))
  (unless (anvillm-asks (anvillm-session id))
    (user-error "%s has no open question" (anvillm-name id)))
  (let ((buffer (anvillm-buffer-get id anvillm-ask--format)))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-ask-mode) (anvillm-ask-mode))
      (anvillm-ask-again)
      (goto-char (point-min)))
    (pop-to-buffer buffer '((display-buffer-reuse-window display-buffer-below-selected)
                            (window-height . fit-window-to-buffer)))))

(provide 'anvillm-ask)
;;; anvillm-ask.el ends here
