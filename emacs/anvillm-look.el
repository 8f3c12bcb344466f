;;; anvillm-look.el --- What is seen gets its faces  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The words of agents and their diffs get their faces where they are seen, and lose
;; them again when they have been out of sight for a while: an answer has hundreds of
;; faces, and what an agent says runs through a window that shows the end.  A long
;; conversation would have a million values in these, and every collection of garbage
;; looks at each while the user's keys wait.
;;
;; The property `anvillm-look' says what a text is, t for words, and `anvillm-raw'
;; says the same as long as it has no faces.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-load)
(require 'anvillm-text)

(defun anvillm-look-later (start end)
  "Have the words of an agent from START to END get their faces when they are seen.
Huge ones get none."
  (when (< (- end start) 30000)
    (add-text-properties start end '(anvillm-look t anvillm-raw t fontified nil))))

(defun anvillm-look-as-diff (text)
  "Return TEXT, a diff that gets its faces when it is seen."
  (propertize text 'anvillm-look 'diff 'anvillm-raw 'diff 'fontified nil))

(defvar-local anvillm-look--waits nil "Non-nil while so much comes that nothing stays in sight.")
(defvar-local anvillm-look--from nil "Where what was in sight meanwhile begins, a marker, or nil.")

(defun anvillm-look (start end)
  "Give the words and diffs of agents between START and END their faces.
While so much comes that nothing stays in sight, that is put off."
  (cond ((not anvillm-look--waits) (anvillm-look--now start end))
        ((not anvillm-look--from) (setq anvillm-look--from (copy-marker start)))
        ((< start anvillm-look--from) (set-marker anvillm-look--from start))))

(defun anvillm-look-wait (wait)
  "Put off what is to get its faces if WAIT is non-nil, or go on with it."
  (setq anvillm-look--waits wait)
  (let ((at (and (not wait) (cl-shiftf anvillm-look--from nil))))
    (when at
      (with-silent-modifications
        (let ((from (marker-position at)))
          (while (< from (point-max))
            (let ((to (next-single-property-change from 'anvillm-raw nil (point-max))))
              (when (get-text-property from 'anvillm-raw)
                (put-text-property from to 'fontified nil))
              (setq from to)))))
      (set-marker at nil))))

(defun anvillm-look--now (start end)
  "Give the words and diffs of agents between START and END their faces."
  (let ((at start))
    (while (and (< at end)
                (or (get-text-property at 'anvillm-raw)
                    (< (setq at (next-single-property-change at 'anvillm-raw nil end)) end)))
      (let ((from (previous-single-property-change (1+ at) 'anvillm-raw nil (point-min)))
            (to (next-single-property-change at 'anvillm-raw nil (point-max))))
        (anvillm-look--remember (car (anvillm-look--bounds at)))
        (pcase (get-text-property at 'anvillm-raw)
          ('diff (setq to (anvillm-look--at-diff (max from start) (min to end) to)))
          (_ (anvillm-look--at-words from to)))
        (setq at to)))))

(defun anvillm-look--at-words (start end)
  "Give the words from START to END their faces."
  (let ((anvillm-text-lacking nil))
    (remove-list-of-text-properties start end '(anvillm-raw))
    (anvillm-text-markdown start end)
    (dolist (mode anvillm-text-lacking)
      (anvillm-look--wait-for mode start end))))

(defun anvillm-look--at-diff (start end most)
  "Give the lines of a diff from START to END their faces, not after MOST.
Return where the last of them ends."
  (save-excursion
    (let ((start (progn (goto-char start) (line-beginning-position)))
          (end (progn (goto-char end) (if (bolp) end (min most (line-beginning-position 2))))))
      (remove-list-of-text-properties start end '(anvillm-raw))
      (anvillm-text-diff-lines start end)
      end)))

;;;; Out of sight

(defconst anvillm-look--most 40
  "How many texts of a buffer have faces before some lose them.")

(defvar-local anvillm-look--dressed nil "Where texts that have faces begin, the last first.")
(defvar-local anvillm-look--room anvillm-look--most "How many more may get faces before that.")

(defun anvillm-look--bounds (at)
  "Return (START . END) of the text of an agent that AT is in."
  (cl-flet ((before (what) (previous-single-property-change (1+ at) what nil (point-min)))
            (after (what) (next-single-property-change at what nil (point-max))))
    (cons (max (before 'anvillm-look) (before 'anvillm-entry))
          (min (after 'anvillm-look) (after 'anvillm-entry)))))

(defun anvillm-look--remember (start)
  "Remember that the text from START has faces."
  (unless (cl-find start anvillm-look--dressed :key #'marker-position)
    (push (copy-marker start) anvillm-look--dressed)
    (when (= 0 (cl-decf anvillm-look--room))
      (anvillm-work (anvillm-here #'anvillm-look--tidy)))))

(defun anvillm-look--tidy ()
  "Take the faces from texts that have had them for long, unless they are seen."
  (let* ((kept (seq-take anvillm-look--dressed (/ anvillm-look--most 2)))
         (old (nthcdr (length kept) anvillm-look--dressed))
         (windows (get-buffer-window-list nil nil t)))
    (with-silent-modifications
      (dolist (marker old)
        (let ((bounds (and (< marker (point-max)) (anvillm-look--bounds marker))))
          (cond ((and bounds
                      (cl-some (lambda (w) (and (<= (window-start w) (cdr bounds))
                                                (<= (car bounds) (window-end w))))
                               windows))
                 (setq kept (nconc kept (list marker))))
                (t (when bounds (anvillm-look--undress (car bounds) (cdr bounds)))
                   (set-marker marker nil))))))
    (setq anvillm-look--dressed kept anvillm-look--room (/ anvillm-look--most 2))))

(defun anvillm-look--undress (start end)
  "Take the faces from the text from START to END until it is seen again."
  (let ((what (get-text-property start 'anvillm-look)))
    (when what
      (set-text-properties
       start end
       (nconc (list 'anvillm-raw what 'fontified nil)
              (cl-loop for name in '(anvillm-look anvillm-entry line-prefix wrap-prefix)
                       for value = (get-text-property start name)
                       when value nconc (list name value)))))))

;;;; Modes that are not loaded

(defvar anvillm-look--waiting nil "Words whose code waits for a mode: (MODE START END).")
(defvar anvillm-look--timer nil "The timer that will load something of those modes.")

(defun anvillm-look--wait-for (mode start end)
  "Give the words from START to END their faces again when MODE is loaded.
That takes a while, and so is done when the user pauses."
  (push (list mode (copy-marker start) (copy-marker end)) anvillm-look--waiting)
  (unless anvillm-look--timer (anvillm-look--load-later 0.5)))

(defun anvillm-look--load-later (seconds)
  "Load something of what is waited for when the user has paused for SECONDS."
  (setq anvillm-look--timer (run-with-idle-timer seconds nil #'anvillm-look-load-modes)))

(defun anvillm-look-load-modes ()
  "Load something of the modes that words wait for.
If that is one of them, they get their faces."
  (setq anvillm-look--timer nil)
  (let* ((mode (caar anvillm-look--waiting)) (function (symbol-function mode)))
    (unless (and (autoloadp function) (anvillm-load-piece (locate-library (nth 1 function))))
      (ignore-errors (autoload-do-load function mode))
      (anvillm-look--loaded mode))
    (when anvillm-look--waiting
      (anvillm-look--load-later (time-add (or (current-idle-time) 0.5) 0.02)))))

(defun anvillm-look--loaded (mode)
  "Have the words that wait for MODE get their faces when they are seen."
  (pcase-dolist (`(,its ,start ,end) (cl-shiftf anvillm-look--waiting nil))
    (if (not (eq its mode)) (push (list its start end) anvillm-look--waiting)
      (when (buffer-live-p (marker-buffer start))
        (with-current-buffer (marker-buffer start)
          (with-silent-modifications (anvillm-look-later start end))))
      (set-marker start nil)
      (set-marker end nil))))

(provide 'anvillm-look)
;;; anvillm-look.el ends here
