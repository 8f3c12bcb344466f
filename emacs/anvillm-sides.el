;;; anvillm-sides.el --- Both sides of a diff, compared  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What an agent asks to change comes as a diff.  Ediff compares two texts: those
;; that the hunks tell of.  No file is read, and nothing of the diff is run.

;;; Code:

(require 'ediff)

(defun anvillm-sides-of (diff)
  "Return both sides of DIFF, (OLD . NEW), or nil if it has no hunk.
The line with its place goes before each of several.  A hunk whose
place is not known has no numbers, and ends where the next one begins."
  (let ((lines (split-string (string-remove-suffix "\n" diff) "\n"))
        (minus 0) (plus 0) open old new hunks)
    (while lines
      (let* ((line (pop lines)) (sign (if (string-empty-p line) ?\s (aref line 0)))
             (words (if (string-empty-p line) "" (substring line 1))))
        (when (or (string-prefix-p "@@" line)
                  (and (string-prefix-p "--- " line) (string-prefix-p "+++ " (or (car lines) ""))))
          (setq open nil))
        (cond ((and (or open (> minus 0) (> plus 0)) (memq sign '(?\s ?- ?+)))
               (unless (eq sign ?+) (setq minus (1- minus)) (push words old))
               (unless (eq sign ?-) (setq plus (1- plus)) (push words new)))
              ((string-match "\\`@@ -[0-9]+\\(,[0-9]+\\)? \\+[0-9]+\\(,[0-9]+\\)? @@" line)
               (setq minus (anvillm-sides--count (match-string 1 line))
                     plus (anvillm-sides--count (match-string 2 line)))
               (push line hunks) (push line old) (push line new))
              ((string-prefix-p "@@" line)
               (setq open t minus 0 plus 0)
               (push line hunks) (push line old) (push line new))
              ((and hunks (string-prefix-p "--- " line)) (push line old) (push line new)))))
    (when hunks
      (cl-flet ((text (lines)
                  ;; The place of the only hunk is nothing to be compared.
                  (let ((lines (nreverse lines)))
                    (mapconcat (lambda (line) (concat line "\n"))
                               (if (cdr hunks) lines (cdr lines)) ""))))
        (cons (text old) (text new))))))

(defun anvillm-sides--count (words)
  "Return how many lines WORDS say, as in \",3\"; 1 if it is nil."
  (if words (string-to-number (substring words 1)) 1))

(defun anvillm-sides--buffer (name side)
  "Return a new buffer for SIDE, (WORD . TEXT), with NAME in its own."
  (with-current-buffer (generate-new-buffer (format "*anvillm %s %s*" (car side) name))
    (insert (cdr side))
    (setq buffer-read-only t)
    (set-buffer-modified-p nil)
    (current-buffer)))

(defun anvillm-sides-compare (name a b)
  "Compare A with B in Ediff, each (WORD . TEXT); NAME is in both their names.
When it ends their buffers go, and the windows are what they were."
  (let ((windows (current-window-configuration))
        (buffers (list (anvillm-sides--buffer name a) (anvillm-sides--buffer name b))))
    (ediff-buffers (car buffers) (cadr buffers)
                   (list (lambda ()
                           (add-hook 'ediff-quit-hook
                                     (lambda ()
                                       (mapc #'kill-buffer buffers)
                                       (set-window-configuration windows))
                                     t t))))))

(provide 'anvillm-sides)
;;; anvillm-sides.el ends here
