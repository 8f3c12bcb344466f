;;; anvillm-talk.el --- Conversations, as they go on  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A conversation follows the file `activity' of a session: prompts, texts as
;; they grow, tools and what they say, edits, questions.  It begins a few turns
;; before the end, however long it is; the turns before those come when they
;; are asked for.  What belongs together is an entry (anvillm-entry.el), known
;; by the text property `anvillm-entry' of what it has drawn.  A daemon without
;; that file is followed by its `log'.

;;; Code:

(require 'anvillm-log)
(require 'anvillm-entry)
(require 'anvillm-editor)

(declare-function anvillm-bookmark-conversation "anvillm-resume")
(declare-function anvillm-ask-choose-here "anvillm-ask" (&optional event))

(defcustom anvillm-turns 10
  "How many turns a conversation begins with.
So many are added when older ones are asked for."
  :type 'natnum
  :group 'anvillm)

(defvar-local anvillm-talk--entries nil "Entries by their key.")
(defvar-local anvillm-talk--seq nil
  "The number of the last object; 0 before the first, nil if nothing is known.")
(defvar-local anvillm-talk--rest nil "The beginning of a line: pieces of bytes, the last first.")
(defconst anvillm-talk--slice 0.008 "How long is drawn at a time, in seconds.")
(defvar-local anvillm-talk--due nil "Lines that have come and are not drawn yet.")
(defvar-local anvillm-talk--timer nil "The timer that will draw them.")
(defvar-local anvillm-talk--turns nil
  "The numbers of the turns there were when this was opened, the last first.")
(defvar-local anvillm-talk--heads nil
  "The turn of which the agent's heading has been drawn, or nil.")
(defvar-local anvillm-talk--usage nil "The last object of usage.")
(defvar-local anvillm-talk--by-log nil "Non-nil where there is only the log.")
(defvar-local anvillm-talk--open-asks nil "Ids of the questions that are drawn with their choices.")
(defvar anvillm-talk--limit nil
  "Where older turns are being drawn: a marker after them; nil stands for the end.")

;;;; Following

(defun anvillm-talk--follow ()
  "Follow the activity of this buffer's session, from where it was left."
  (cond (anvillm-talk--by-log (anvillm-log-follow))
        ((or anvillm-log-op anvillm-log-over (not (anvillm-9p-live-p anvillm-link-conn))))
        (anvillm-talk--seq (anvillm-talk--stream))
        (t (setq anvillm-log-op
                 (anvillm-9p-read anvillm-link-conn (concat anvillm-buffer-session "/turns/list")
                                  (anvillm-here #'anvillm-talk--listed))))))

(defun anvillm-talk--listed (bytes err)
  "The list of exchanges came as BYTES, or ERR."
  (setq anvillm-log-op nil)
  (pcase err
    ('nil
     (dolist (line (split-string (decode-coding-string bytes 'utf-8 t) "\n" t))
       (pcase (split-string line "\t")
         (`(,number ,(or "running" "done" "failed") . ,_) (push (string-to-number number)
                                                                anvillm-talk--turns))))
     (setq anvillm-talk--turns (sort anvillm-talk--turns #'>)
           anvillm-talk--entries (make-hash-table :test #'equal))
     (if (nthcdr anvillm-turns anvillm-talk--turns)
         (anvillm-talk--seek (nreverse (seq-take anvillm-talk--turns anvillm-turns)))
       (setq anvillm-talk--seq 0)
       (anvillm-talk--stream)))
    (`(anvillm-9p-error . ,_)
     (setq anvillm-talk--by-log t)
     (anvillm-log-follow))))

(defun anvillm-talk--seek (numbers)
  "Begin with the first of NUMBERS of which there is any activity."
  (if (not numbers)
      (progn (setq anvillm-talk--seq 0) (anvillm-talk--stream))
    (setq anvillm-log-op
          (anvillm-9p-stream
           anvillm-link-conn (format "%s/turns/%d/activity" anvillm-buffer-session (car numbers))
           (anvillm-here (lambda (bytes)
                           (when (string-match "\"seq\":\\([0-9]+\\)" bytes)
                             (let ((first (string-to-number (match-string 1 bytes))))
                               (anvillm-9p-cancel (cl-shiftf anvillm-log-op nil))
                               (setq anvillm-talk--seq (1- first))
                               (anvillm-talk--stream)))))
           (anvillm-here (lambda (err)
                           (setq anvillm-log-op nil)
                           (when (or (null err) (eq (car err) 'anvillm-9p-error))
                             (anvillm-talk--seek (cdr numbers)))))))))

(defun anvillm-talk--stream ()
  "Follow what comes after the last object."
  (anvillm-talk--drop-due) ; it comes again
  (setq anvillm-talk--rest nil
        anvillm-log-op
        (anvillm-9p-stream
         anvillm-link-conn
         (concat anvillm-buffer-session "/activity"
                 (if (> anvillm-talk--seq 0) (format ".%d" anvillm-talk--seq) ""))
         (anvillm-here #'anvillm-talk--came)
         (anvillm-here #'anvillm-log-ended)))
  (anvillm-talk--offer-older))

(defmacro anvillm-talk--writing (&rest body)
  "Run BODY, which draws; windows at the end stay there, others where they are."
  (declare (indent 0))
  `(let* ((inhibit-read-only t) (inhibit-modification-hooks t)
          (tails (cl-remove-if-not (lambda (w) (= (window-point w) (point-max)))
                                   (get-buffer-window-list nil nil t)))
          (tail (= (point) (point-max))))
     (save-excursion ,@body)
     (when (> (buffer-size) anvillm-log-size) (anvillm-talk--trim))
     (when tail (goto-char (point-max)))
     (dolist (w tails) (set-window-point w (point-max)))))

(defun anvillm-talk--came (bytes)
  "Take in BYTES of the stream."
  (if (not (string-search "\n" bytes))
      (push bytes anvillm-talk--rest)
    (let ((lines (split-string (apply #'concat
                                      (nreverse (cons bytes (cl-shiftf anvillm-talk--rest nil))))
                               "\n")))
      (setq anvillm-talk--due (nconc anvillm-talk--due (butlast lines)))
      (let ((rest (car (last lines))))
        (unless (string-empty-p rest) (push rest anvillm-talk--rest)))
      (unless anvillm-talk--timer (anvillm-talk--draw-due)))))

(defun anvillm-talk--draw-due ()
  "Draw what has come, for a few milliseconds at a time."
  (setq anvillm-talk--timer nil)
  (let ((end (+ (float-time) anvillm-talk--slice)))
    (unwind-protect
        (anvillm-talk--writing
          (while (and anvillm-talk--due (< (float-time) end))
            (anvillm-talk--take (anvillm-json (pop anvillm-talk--due)))))
      (when anvillm-talk--due
        (anvillm-feeding)
        (setq anvillm-talk--timer
              (run-with-timer 0.002 nil (anvillm-here #'anvillm-talk--draw-due)))))))

(defun anvillm-talk--drop-due ()
  "Forget what has come and is not drawn yet."
  (when anvillm-talk--timer (cancel-timer anvillm-talk--timer))
  (setq anvillm-talk--timer nil anvillm-talk--due nil))

;;;; Entries

(defun anvillm-talk--key (object)
  "Return what the entry of OBJECT is known by."
  (let ((kind (plist-get object :kind)) (id (plist-get object :id)) (turn (plist-get object :turn)))
    (pcase kind
      ((or "tool" "output" "edit") (list "tool" id))
      ((or "ask" "decision") (list "ask" id))
      ("text" (list kind (or id turn)))
      ((or "prompt" "thinking" "subagent") (list kind (or id turn)))
      ((or "plan" "retry" "limit" "compact" "end") (list kind turn))
      (_ (list kind (plist-get object :seq))))))

(defun anvillm-talk--take (object)
  "Draw OBJECT."
  (when (and (plist-get object :seq) (not anvillm-talk--limit))
    (setq anvillm-talk--seq (plist-get object :seq)))
  (if (equal (plist-get object :kind) "usage")
      (unless anvillm-talk--limit (setq anvillm-talk--usage object))
    (let* ((key (anvillm-talk--key object)) (entry (gethash key anvillm-talk--entries)))
      (if (not entry) (anvillm-talk--add key object)
        (anvillm-entry-put entry object)
        (if (and (plist-get object :part) (not (plist-member object :text)))
            (anvillm-talk--grow entry (plist-get object :part))
          (anvillm-talk--redraw entry))))))

(defun anvillm-talk--add (key object)
  "Draw a new entry for OBJECT, known by KEY."
  (let* ((turn (plist-get object :turn)) (kind (plist-get object :kind))
         (entry (make-anvillm-entry :kind kind :key key :turn turn :time (plist-get object :ts)
                                    :parent (plist-get object :parent)
                                    :heads (not (or (equal kind "prompt")
                                                    (equal turn anvillm-talk--heads))))))
    (setq anvillm-talk--heads (if (equal kind "prompt") nil turn))
    (puthash key entry anvillm-talk--entries)
    (anvillm-entry-put entry object)
    (goto-char (anvillm-talk--place entry))
    (anvillm-entry-insert entry)
    (anvillm-talk--fold-long entry)))

(defun anvillm-talk--end ()
  "Return where drawing ends."
  (if anvillm-talk--limit (marker-position anvillm-talk--limit) (point-max)))

(defun anvillm-talk--place (entry)
  "Return where ENTRY belongs: at the end, or after what its parent did last."
  (let ((parent (anvillm-entry-parent entry)) (at (anvillm-talk--end)) found)
    (when parent
      (let ((lead (gethash (list "subagent" parent) anvillm-talk--entries)) (at at))
        (while (and (not found) (> at (point-min)))
          (let* ((before (previous-single-property-change at 'anvillm-entry nil (point-min)))
                 (one (get-text-property before 'anvillm-entry)))
            (when (and one (or (eq one lead) (equal parent (anvillm-entry-parent one))))
              (setq found at))
            (setq at (if (or (null one) (equal (anvillm-entry-kind one) "prompt")) (point-min)
                       before))))))
    (or found at)))

(defun anvillm-talk--bounds (entry)
  "Return (START . END) of what ENTRY has drawn, or nil.
It is looked for from the end, where what still changes is."
  (let ((at (anvillm-talk--end)) found)
    (while (and (not found) (> at (point-min)))
      (let ((before (previous-single-property-change at 'anvillm-entry nil (point-min))))
        (when (eq entry (get-text-property before 'anvillm-entry)) (setq found (cons before at)))
        (setq at before)))
    found))

(defun anvillm-talk--grow (entry part)
  "Draw PART, by which ENTRY has grown, without drawing the rest of it again."
  (let ((bounds (and (or (equal "text" (anvillm-entry-kind entry)) (anvillm-entry-open entry))
                     (anvillm-talk--bounds entry))))
    (cond ((not bounds))
          ((not (equal "text" (anvillm-entry-kind entry))) (anvillm-talk--redraw entry))
          (t
           ;; What was drawn ends in two newlines of ours.
           (goto-char (max (car bounds) (- (cdr bounds) 2)))
           (let ((start (point)))
             (insert part)
             (put-text-property start (point) 'anvillm-entry entry)
             (when (string-search "\n" part)
               (anvillm-entry-dress (max (car bounds)
                                         (save-excursion (goto-char start)
                                                         (line-beginning-position)))
                                    (point))))))))

(defun anvillm-talk--redraw (entry)
  "Draw ENTRY again where it is."
  (let ((bounds (anvillm-talk--bounds entry)))
    (when bounds
      (let ((riders (cl-remove-if-not (lambda (w) (< (car bounds) (window-point w) (cdr bounds)))
                                      (get-buffer-window-list nil nil t)))
            (start (car bounds)) (inhibit-read-only t))
        (let ((places (mapcar (lambda (w) (- (window-point w) start)) riders)))
          (goto-char start)
          (mapc (lambda (o) (when (overlay-get o 'anvillm-fold) (delete-overlay o)))
                (overlays-in start (cdr bounds)))
          (delete-region start (cdr bounds))
          (anvillm-entry-insert entry)
          (let ((end (point)))
            (cl-mapc (lambda (w place)
                       (set-window-point w (min (+ start place) (max start (1- end))))) riders
                       places)
            (anvillm-talk--fold-long entry)))))))

(defun anvillm-talk--fold-long (entry)
  "Fold the middle of ENTRY if it is long, and each line that is."
  (when (member (anvillm-entry-kind entry) '("text" "prompt"))
    (let* ((end (point)) (start (car (anvillm-talk--bounds entry))) (first 20) (last 5))
      (when (and start anvillm-fold-lines (not (anvillm-entry-parts entry))
                 (> (count-lines start end) (+ anvillm-fold-lines 3)))
        (let ((from (save-excursion (goto-char start) (forward-line first) (1- (point))))
              (to (save-excursion (goto-char end) (skip-chars-backward "\n")
                                  (forward-line (- 1 last)) (1- (point)))))
          (when (< from to)
            (anvillm-log-hide from to (format "\n… %d more lines" (count-lines from to))))))
      (when (and start anvillm-fold-columns)
        (save-excursion
          (goto-char start)
          (while (< (point) end)
            (let ((eol (line-end-position)))
              (when (> (- eol (point)) anvillm-fold-columns)
                (anvillm-log-hide (+ (point) anvillm-fold-columns) eol
                                  (format "… %d more characters"
                                          (- eol (point) anvillm-fold-columns)))))
            (forward-line)))))))

(defun anvillm-talk--trim ()
  "Take the oldest exchanges away, to four fifths of `anvillm-log-size'."
  (save-excursion
    (goto-char (- (point-max) (/ (* 4 anvillm-log-size) 5)))
    (let ((head (anvillm-log-head-after (point))) (last (anvillm-log-head-before (point-max))))
      (when (and head last (<= head last))
        (delete-region (point-min) (save-excursion (goto-char head) (line-beginning-position)))
        (anvillm-talk--offer-older)))))

;;;; Older turns

(defun anvillm-talk--first ()
  "Return the number of the first turn that is shown, or nil."
  (let ((at (point-min)) first)
    (while (and at (not first))
      (let ((entry (get-text-property at 'anvillm-entry)))
        (when (and entry (natnump (anvillm-entry-turn entry)) (> (anvillm-entry-turn entry) 0))
          (setq first (anvillm-entry-turn entry))))
      (setq at (next-single-property-change at 'anvillm-entry)))
    first))

(defun anvillm-talk--older ()
  "Return the numbers of the exchanges before those that are shown, the last first."
  (let ((first (anvillm-talk--first)))
    (if first (cl-remove-if-not (lambda (n) (< n first)) anvillm-talk--turns)
      (nthcdr anvillm-turns anvillm-talk--turns))))

(defun anvillm-talk--offer-older ()
  "Say at the beginning that there are older exchanges, or say it no longer."
  (let ((inhibit-read-only t) (older (length (anvillm-talk--older))))
    (save-excursion
      (goto-char (point-min))
      (when (get-text-property (point) 'anvillm-older)
        (delete-region (point)
                       (next-single-property-change (point) 'anvillm-older nil (point-max))))
      (when (> older 0)
        (insert-before-markers
         (propertize (format "… %d older turns (RET)\n" older) 'anvillm-older t 'face 'anvillm-id
                     'mouse-face 'highlight))))))

(defun anvillm-talk-older ()
  "Show exchanges before those that are shown."
  (interactive)
  (unless (derived-mode-p 'anvillm-conversation-mode) (user-error "This is not a conversation"))
  (let ((turns (seq-take (anvillm-talk--older) anvillm-turns)))
    (unless turns (user-error "There are no older turns"))
    (anvillm-talk--read-older turns)))

(defun anvillm-talk--read-older (numbers)
  "Draw those of NUMBERS, the last first, before what is shown."
  (when numbers
    (let ((id anvillm-buffer-session) (number (car numbers)))
      (anvillm-read
       (format "%s/turns/%d/activity" id number)
       (anvillm-here
        (lambda (bytes err)
          (if (and bytes (not (string-empty-p bytes)))
              (anvillm-talk--draw-older number (split-string bytes "\n" t) numbers)
            (if (and err (not (eq (car err) 'anvillm-9p-error)))
                (message "older: %s" (anvillm-sentence err))
              ;; From before there was such a file.
              (anvillm-read (format "%s/turns/%d/prompt" id number)
                            (anvillm-here
                             (lambda (bytes _)
                               (anvillm-talk--draw-older
                                number (list (list :kind "prompt" :id (number-to-string number)
                                                   :turn number
                                                   :text (anvillm-text (or bytes ""))))
                                numbers))))))))))))

(cl-defstruct (anvillm-talk--past (:copier nil))
  "An older turn that is being drawn: what is left of it, and where it goes."
  number objects numbers limit readers entries heads (batch (make-hash-table :test #'equal)))

(defun anvillm-talk--draw-older (number objects numbers)
  "Draw OBJECTS of the turn NUMBER before all others, then those of NUMBERS."
  (let ((readers (cl-remove-if-not (lambda (w) (get-text-property (window-point w) 'anvillm-older))
                                   (get-buffer-window-list nil nil t))))
    (anvillm-talk--writing
      (goto-char (point-min))
      (when (get-text-property (point) 'anvillm-older)
        (delete-region (point)
                       (next-single-property-change (point) 'anvillm-older nil (point-max)))))
    (anvillm-talk--draw-past
     (make-anvillm-talk--past :number number :objects objects :numbers numbers :readers readers
                              :limit (copy-marker (point-min) t) :entries anvillm-talk--entries))))

(defun anvillm-talk--draw-past (past)
  "Draw of PAST what can be drawn in a few milliseconds, and the rest later."
  ;; Unless all was forgotten meanwhile.
  (when (eq anvillm-talk--entries (anvillm-talk--past-entries past))
    (let ((end (+ (float-time) anvillm-talk--slice))
          (anvillm-talk--heads (anvillm-talk--past-heads past))
          (anvillm-talk--limit (anvillm-talk--past-limit past)))
      (anvillm-talk--writing
        (while (and (anvillm-talk--past-objects past) (< (float-time) end))
          (let* ((object (pop (anvillm-talk--past-objects past)))
                 (object (if (stringp object) (anvillm-json object) object))
                 (key (anvillm-talk--key object)) (batch (anvillm-talk--past-batch past)))
            ;; What began in that turn and went on after it is shown already.
            (when (or (gethash key batch) (not (gethash key anvillm-talk--entries)))
              (puthash key t batch)
              (anvillm-talk--take object)))))
      (setf (anvillm-talk--past-heads past) anvillm-talk--heads))
    (if (not (anvillm-talk--past-objects past)) (anvillm-talk--past-drawn past)
      (anvillm-feeding)
      (run-with-timer 0.002 nil (anvillm-here (lambda () (anvillm-talk--draw-past past)))))))

(defun anvillm-talk--past-drawn (past)
  "All of PAST is drawn: go on with the turn before it."
  (let ((limit (anvillm-talk--past-limit past)))
    (dolist (w (anvillm-talk--past-readers past))
      (when (and (window-live-p w) (eq (window-buffer w) (current-buffer)))
        (set-window-point w limit)))
    (set-marker limit nil))
  (setq anvillm-talk--turns (remove (anvillm-talk--past-number past) anvillm-talk--turns))
  (anvillm-talk--offer-older)
  (anvillm-talk--read-older (cdr (anvillm-talk--past-numbers past))))

;;;; What is at point

(defun anvillm-talk-toggle ()
  "Fold or unfold the entry at point; return nil if it cannot be."
  (let ((entry (get-text-property (point) 'anvillm-entry)))
    (when (and entry (member (anvillm-entry-kind entry) '("tool" "output" "edit" "thinking")))
      (let* ((start (car (anvillm-talk--bounds entry)))
             (open (save-excursion (goto-char start)
                                   (re-search-forward "[▾▸] " (line-end-position 2) t)
                                   (string-prefix-p "▾" (match-string 0)))))
        (setf (anvillm-entry-open entry) (if open 'closed 'open))
        (let ((inhibit-modification-hooks t))
          (save-excursion (anvillm-talk--redraw entry))
          (goto-char start)
          (when (get-text-property (point) 'anvillm-head) (forward-line)))
        t))))

(defun anvillm-talk-visit ()
  "Act on what is at point: older exchanges, or the choice of a question.
Return nil if there is neither."
  (cond ((get-text-property (point) 'anvillm-older) (anvillm-talk-older) t)
        ((get-text-property (point) 'anvillm-choice) (anvillm-ask-choose-here) t)))

;;;; The header

(defun anvillm-talk--more (session)
  "Return more for the header line of SESSION: what it does, since when."
  (let* ((running (equal (plist-get session :state) "running")) (since (plist-get session :since))
         (doing (or (plist-get session :doing) ""))
         (context (plist-get anvillm-talk--usage :context))
         (window (plist-get anvillm-talk--usage :window)))
    (concat
     (if (and running (numberp since))
         (let ((s (max 0 (floor (- (float-time) since))))) (format "  %d:%02d" (/ s 60) (% s 60)))
       "")
     (if (and running (not (string-empty-p doing))) (concat " · " (anvillm-one-line doing)) "")
     (if (and (numberp context) (numberp window) (> window 0))
         (format "  %d%% context left" (max 0 (- 100 (/ (* 100 context) window)))) ""))))

(defvar anvillm-talk--clock nil
  "The timer that counts the seconds while an agent works before the user's eyes.")

(defun anvillm-talk--running-p (buffer)
  "Return non-nil if BUFFER is a conversation with a running agent, in sight."
  (and (eq (buffer-local-value 'major-mode buffer) 'anvillm-conversation-mode)
       (equal "running" (anvillm-get (buffer-local-value 'anvillm-buffer-session buffer) :state))
       (get-buffer-window buffer 'visible)))

(defun anvillm-talk--tick ()
  "Count on, as long as there is anything to be counted."
  (let ((running (cl-remove-if-not #'anvillm-talk--running-p (buffer-list))))
    (dolist (buffer running) (with-current-buffer buffer (force-mode-line-update)))
    (setq anvillm-talk--clock (and running (run-with-timer 1 nil #'anvillm-talk--tick)))))

(defun anvillm-talk--session-changed (id)
  "Session ID, or any if it is nil, may run now, or ask."
  (unless anvillm-talk--clock (anvillm-talk--tick))
  (when id
    (let ((buffer (anvillm-talk--buffer id)))
      (when (and buffer (buffer-local-value 'anvillm-talk--entries buffer))
        (with-current-buffer buffer
          (anvillm-talk--redraw-asks))))))

(defun anvillm-talk--redraw-asks ()
  "Draw the questions again that are open, or were a moment ago."
  (let ((open (mapcar (lambda (a) (plist-get a :id))
                      (anvillm-asks (anvillm-session anvillm-buffer-session)))))
    (unless (equal open anvillm-talk--open-asks)
      (let ((changed (cl-set-exclusive-or open anvillm-talk--open-asks :test #'equal)))
        (setq anvillm-talk--open-asks open)
        (anvillm-talk--writing
          (dolist (id changed)
            (let ((entry (gethash (list "ask" id) anvillm-talk--entries)))
              (when entry (anvillm-talk--redraw entry)))))))))
;;;; The mode

(define-derived-mode anvillm-conversation-mode anvillm-log-mode "AnviLLM-Talk"
  "The conversation of a session, as it goes on.

\\{anvillm-log-mode-map}"
  :interactive nil
  (use-local-map anvillm-log-mode-map)
  (setq anvillm-log-follow-function #'anvillm-talk--follow
        anvillm-log-toggle-function #'anvillm-talk-toggle
        anvillm-log-visit-function #'anvillm-talk-visit
        anvillm-log-more-function #'anvillm-talk--more
        anvillm-log-forget-function #'anvillm-talk--forget)
  (setq-local bookmark-make-record-function #'anvillm-bookmark-conversation)
  (setq-local desktop-save-buffer
              (lambda (_) (list anvillm-buffer-session (anvillm-name anvillm-buffer-session))))
  (add-hook 'window-buffer-change-functions #'anvillm-talk--looked-at nil t)
  (anvillm-editor-watch)
  (add-hook 'anvillm-session-functions #'anvillm-talk--session-changed)
  (add-hook 'anvillm-event-functions #'anvillm-talk--event))

(defun anvillm-talk--forget ()
  "Forget what has been drawn."
  (anvillm-talk--drop-due)
  (setq anvillm-talk--entries nil anvillm-talk--seq nil anvillm-talk--rest nil anvillm-talk--turns
        nil
        anvillm-talk--heads nil anvillm-talk--by-log nil anvillm-talk--open-asks nil))

(defun anvillm-talk--looked-at (window)
  "The buffer of WINDOW came into view."
  (with-current-buffer (if (windowp window) (window-buffer window) (current-buffer))
    (when anvillm-buffer-session (anvillm-seen anvillm-buffer-session))))

(defun anvillm-talk--event (event)
  "A response of EVENT that comes before the user's eyes is not news."
  (when (equal (plist-get event :type) "response")
    (let ((buffer (anvillm-talk--buffer (plist-get event :session_id))))
      (when (and buffer (get-buffer-window buffer 'visible))
        (anvillm-seen (plist-get event :session_id))))))

(defun anvillm-talk--buffer (id)
  "Return the buffer of the conversation of session ID, or nil."
  (anvillm-buffer-find id "*anvillm %s*"))

(defun anvillm-conversation-buffer (id &optional name)
  "Return the buffer of the conversation of session ID, made if need be.
NAME is what it is called, where that is not known yet."
  (anvillm-log-open-buffer (anvillm-buffer-get id "*anvillm %s*" name) #'anvillm-conversation-mode
                            (concat id "/log") id))

(defun anvillm-talk-aim (id)
  "Let this buffer follow the conversation of session ID instead."
  (anvillm-buffer-aim id)
  (setq anvillm-log-path (concat id "/log")
        default-directory (anvillm-directory id))
  (anvillm-log-again))

;;;###autoload
(defun anvillm-conversation (id)
  "Show the conversation of the session ID."
  (interactive (list (anvillm-current "Conversation with: ")))
  (anvillm-connect-later)
  (pop-to-buffer (anvillm-conversation-buffer id))
  (anvillm-note-shown id)
  (anvillm-seen id))

(provide 'anvillm-talk)
;;; anvillm-talk.el ends here
