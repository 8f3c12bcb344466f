;;; anvillm-draw.el --- Entries in the buffer of a conversation  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What an agent does comes as objects; those that belong together are an entry
;; (anvillm-entry.el), known by the text property `anvillm-entry' of what it has
;; drawn.  Here is where an entry goes, how it grows, is drawn again and folded, and
;; how the oldest ones are taken away.

;;; Code:

(require 'anvillm-log)
(require 'anvillm-entry)

(defvar-local anvillm-draw-entries nil "Entries by their key.")
(defvar-local anvillm-draw--heads nil
  "The turn of which the agent's heading has been drawn, or nil.")
(defvar anvillm-draw--limit nil
  "Where older turns are being drawn: a marker after them; nil stands for the end.")
(defvar-local anvillm-draw-trimmed-function #'ignore
  "Function called when the oldest exchanges have been taken away.")

(defmacro anvillm-draw-writing (&rest body)
  "Run BODY, which draws; windows at the end stay there, others where they are."
  (declare (indent 0))
  `(anvillm-drawing ((inhibit-modification-hooks t)
                     (tails (cl-remove-if-not (lambda (w) (= (window-point w) (point-max)))
                                              (get-buffer-window-list nil nil t)))
                     (tail (= (point) (point-max))))
     (save-excursion ,@body)
     (when (> (buffer-size) anvillm-log-size) (anvillm-draw--trim))
     (when tail (goto-char (point-max)))
     (dolist (w tails) (set-window-point w (point-max)))))

;;;; Entries

(defun anvillm-draw-key (object)
  "Return what the entry of OBJECT is known by."
  (let ((kind (plist-get object :kind)) (id (plist-get object :id)) (turn (plist-get object :turn)))
    (pcase kind
      ((or "tool" "output" "edit") (list "tool" id))
      ((or "ask" "decision") (list "ask" id))
      ("text" (list kind (or id turn)))
      ((or "prompt" "thinking" "subagent") (list kind (or id turn)))
      ((or "plan" "retry" "limit" "compact" "end") (list kind turn))
      (_ (list kind (plist-get object :seq))))))

(defun anvillm-draw (object)
  "Draw OBJECT."
  (let* ((key (anvillm-draw-key object)) (entry (gethash key anvillm-draw-entries))
         (part (and (not (plist-member object :text)) (plist-get object :part))))
    (pcase entry
      ('nil (anvillm-draw--add key object))
      ('gone nil) ; with an exchange that has been taken away
      (_ (let ((coloured (anvillm-entry-colours entry "text")) (sgr (anvillm-entry-sgr entry))
               (more (plist-get object :colours)))
           (anvillm-entry-put entry object)
           (cond ((or (not part) (and more (not coloured))) (anvillm-draw-again entry))
                 (coloured (anvillm-draw--grow entry (anvillm-colours-apply part more sgr) t))
                 (t (anvillm-draw--grow entry part))))))))

(defmacro anvillm-draw-before (limit heads &rest body)
  "Run BODY, which draws before the marker LIMIT; return the last heading's turn.
HEADS is that of what was drawn there before."
  (declare (indent 2))
  `(let ((anvillm-draw--limit ,limit) (anvillm-draw--heads ,heads))
     ,@body
     anvillm-draw--heads))

(defun anvillm-draw--add (key object)
  "Draw a new entry for OBJECT, known by KEY."
  (let* ((turn (plist-get object :turn)) (kind (plist-get object :kind))
         (entry (make-anvillm-entry :kind kind :key key :turn turn :time (plist-get object :ts)
                                    :parent (plist-get object :parent)
                                    :heads (not (or (equal kind "prompt")
                                                    (equal turn anvillm-draw--heads))))))
    (setq anvillm-draw--heads (if (equal kind "prompt") nil turn))
    (puthash key entry anvillm-draw-entries)
    (anvillm-entry-put entry object)
    (goto-char (anvillm-draw--place entry))
    (anvillm-entry-insert entry)
    (anvillm-draw--fold-long entry)))

(defun anvillm-draw--end ()
  "Return where drawing ends."
  (if anvillm-draw--limit (marker-position anvillm-draw--limit) (point-max)))

(defun anvillm-draw--place (entry)
  "Return where ENTRY belongs: at the end, or after what its parent did last."
  (let ((parent (anvillm-entry-parent entry)) (at (anvillm-draw--end)) found)
    (when parent
      (let ((lead (gethash (list "subagent" parent) anvillm-draw-entries)) (at at))
        (while (and (not found) (> at (point-min)))
          (let* ((before (previous-single-property-change at 'anvillm-entry nil (point-min)))
                 (one (get-text-property before 'anvillm-entry)))
            (when (and one (or (eq one lead) (equal parent (anvillm-entry-parent one))))
              (setq found at))
            (setq at (if (or (null one) (equal (anvillm-entry-kind one) "prompt")) (point-min)
                       before))))))
    (or found at)))

(defun anvillm-draw-bounds (entry)
  "Return (START . END) of what ENTRY has drawn, or nil.
It is looked for from the end, where what still changes is."
  (let ((at (anvillm-draw--end)) found)
    (while (and (not found) (> at (point-min)))
      (let ((before (previous-single-property-change at 'anvillm-entry nil (point-min))))
        (when (eq entry (get-text-property before 'anvillm-entry)) (setq found (cons before at)))
        (setq at before)))
    found))

(defun anvillm-draw--grow (entry part &optional coloured)
  "Draw PART, by which ENTRY has grown, without drawing the rest of it again.
It is not Markdown if it is COLOURED."
  (let ((bounds (and (or (equal "text" (anvillm-entry-kind entry)) (anvillm-entry-open entry))
                     (anvillm-draw-bounds entry))))
    (cond ((not bounds))
          ((not (equal "text" (anvillm-entry-kind entry))) (anvillm-draw-again entry))
          (t
           ;; What was drawn ends in two newlines of ours.
           (goto-char (max (car bounds) (- (cdr bounds) 2)))
           (let ((start (point)))
             (insert part)
             (put-text-property start (point) 'anvillm-entry entry)
             (anvillm-draw--fold-lines (save-excursion (goto-char start) (line-beginning-position))
                                       (point))
             (when (and (not coloured) (string-search "\n" part))
               (anvillm-look-later (max (car bounds)
                                         (save-excursion (goto-char start)
                                                         (line-beginning-position)))
                                    (point))))))))

(defun anvillm-draw-again (entry)
  "Draw ENTRY again where it is."
  (let ((bounds (anvillm-draw-bounds entry)))
    (when bounds
      (let ((riders (cl-remove-if-not (lambda (w) (< (car bounds) (window-point w) (cdr bounds)))
                                      (get-buffer-window-list nil nil t)))
            (start (car bounds)))
        (anvillm-drawing ((places (mapcar (lambda (w) (- (window-point w) start)) riders)))
          (goto-char start)
          (mapc (lambda (o) (when (overlay-get o 'anvillm-fold) (delete-overlay o)))
                (overlays-in start (cdr bounds)))
          (delete-region start (cdr bounds))
          (anvillm-entry-insert entry)
          (anvillm-draw--fold-long entry)
          (let ((end (point))) ; which the window's point may be
            (cl-mapc (lambda (w place)
                       (set-window-point w (min (+ start place) (max start (1- end)))))
                     riders places)))))))

(defun anvillm-draw--fold-long (entry)
  "Fold the middle of ENTRY if it is long, and each line that is.
It ends at point."
  (let* ((end (point)) (start (car (anvillm-draw-bounds entry))) (first 20) (last 5))
    (when (and start anvillm-fold-lines (member (anvillm-entry-kind entry) '("text" "prompt"))
               (not (anvillm-entry-parts entry))
               (> (count-lines start end) (+ anvillm-fold-lines 3)))
      (let ((from (save-excursion (goto-char start) (forward-line first) (1- (point))))
            (to (save-excursion (goto-char end) (skip-chars-backward "\n")
                                (forward-line (- 1 last)) (1- (point)))))
        (when (< from to)
          (anvillm-fold from to (format "\n… %d more lines" (count-lines from to))))))
    (when start (anvillm-draw--fold-lines start end))))

(defun anvillm-draw--fold-lines (start end)
  "Fold the rest of each line between START and END that is long."
  (when anvillm-fold-columns
    (save-excursion
      (goto-char start)
      (while (< (point) end)
        (let ((from (+ (point) anvillm-fold-columns)) (eol (line-end-position)))
          (when (> eol from)
            (mapc (lambda (o) (when (= from (overlay-start o)) (delete-overlay o)))
                  (overlays-in from eol))
            (anvillm-fold from eol (format "… %d more characters" (- eol from)))))
        (forward-line)))))

;;;; Trimming

(defun anvillm-draw--trim ()
  "Take the oldest exchanges away, to four fifths of `anvillm-log-size'."
  (save-excursion
    (goto-char (- (point-max) (/ (* 4 anvillm-log-size) 5)))
    (let ((head (anvillm-log-head-after (point))) (last (anvillm-log-head-before (point-max))))
      (when (and head last (<= head last))
        (goto-char head)
        (anvillm-draw--forget (point-min) (line-beginning-position))
        (delete-region (point-min) (line-beginning-position))
        (funcall anvillm-draw-trimmed-function)))))

(defun anvillm-draw--forget (start end)
  "Forget what is known of the entries between START and END.
That they were there is not forgotten."
  (let ((at start))
    (while (< at end)
      (let ((entry (get-text-property at 'anvillm-entry)))
        (when entry (puthash (anvillm-entry-key entry) 'gone anvillm-draw-entries)))
      (setq at (next-single-property-change at 'anvillm-entry nil end)))))

(provide 'anvillm-draw)
;;; anvillm-draw.el ends here
