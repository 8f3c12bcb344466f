;;; anvillm-places.el --- Places in files that a text names  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; References to files, with lines and columns or without, as compilers, agents and
;; Python write them: how they look, how they are visited, and going through them.

;;; Code:

(require 'anvillm-core)
(require 'anvillm-buffer)

(defvar vc-handled-backends)

;;;; References to files

(defconst anvillm-places--reference
  (concat "\\(?:^\\|[^[:alnum:]_./~-]\\)"
          "\\(?1:\\(?:~/\\|/\\|\\.\\.?/\\)?[[:alnum:]_.+@-][[:alnum:]_./+@-]*\\)"
          ":\\(?2:[0-9]+\\)\\(?::\\(?3:[0-9]+\\)\\)?"
          "\\|File \"\\(?1:[^\"\n]+\\)\", line \\(?2:[0-9]+\\)"
          ;; Without a line it has a directory at least, and ends no sentence.
          "\\|\\(?:^\\|[^[:alnum:]_./~-]\\)"
          "\\(?1:[[:alnum:]_.+@~-]*/[[:alnum:]_./+@-]*[[:alnum:]_]\\)")
  "A file name, as compilers, agents and people write it.
Mostly with a line and maybe a column; so does Python in a traceback.")

(defun anvillm-places--existing (name)
  "Return the file that NAME stands for in this session's directory, or nil."
  (let ((file (expand-file-name name (file-name-as-directory
                                      (or (anvillm-get anvillm-buffer-session :cwd)
                                          default-directory)))))
    (and (not (file-remote-p file)) (file-regular-p file) file)))

(defun anvillm-places-buttonize (start end)
  "Make references between START and END look like what they are."
  (with-silent-modifications
    (save-excursion
      (goto-char start)
      (beginning-of-line)
      (while (re-search-forward anvillm-places--reference end t)
        (when (save-match-data (anvillm-places--existing (match-string-no-properties 1)))
          (add-text-properties (match-beginning 1) (match-end 0)
                               '(anvillm-reference t mouse-face highlight help-echo "RET: visit"))
          (add-face-text-property (match-beginning 1) (match-end 0) 'link))))))

(defun anvillm-places-here ()
  "Return the place that is named at point, as (FILE LINE COLUMN), or nil."
  (let ((at (point)) found)
    (save-excursion
      (beginning-of-line)
      (while (and (not found) (re-search-forward anvillm-places--reference (line-end-position) t))
        (setq found (and (<= (match-beginning 1) at (match-end 0)) (anvillm-places--this)))))
    found))

(defun anvillm-places--this ()
  "Return the reference just matched as (FILE LINE COLUMN), or nil.
Line and column may be nil."
  (let ((numbers (mapcar (lambda (n) (and n (string-to-number n)))
                         (list (match-string 2) (match-string 3))))
        (file (save-match-data (anvillm-places--existing (match-string-no-properties 1)))))
    (and file (cons file numbers))))

(defun anvillm-places-show (place)
  "Show PLACE, a (FILE LINE COLUMN), in another window."
  (pcase-let ((`(,file ,line ,column) place))
    ;; Version control would run a git there that an agent could have configured.
    (pop-to-buffer (let (vc-handled-backends) (find-file-noselect file)))
    (setq-local vc-handled-backends nil)
    (when line
      (save-restriction
        (widen)
        (goto-char (point-min))
        (forward-line (1- line))
        (when column (move-to-column (1- column)))))))

(defvar-local anvillm-places--last nil "Where what was visited last is named: (START . END).")

(defun anvillm-places-next-error (count reset)
  "Visit the reference that is COUNT further; from the beginning if RESET."
  (let ((forward (>= count 0)) (last anvillm-places--last) place)
    (cond (reset (goto-char (point-min)))
          ((and last (<= (car last) (point) (cdr last))) ; not the same once more
           (goto-char (if forward (cdr last) (car last)))))
    (dotimes (_ (max 1 (abs count)))
      (setq place nil)
      (while (not place)
        (unless (if forward (re-search-forward anvillm-places--reference nil t)
                  (re-search-backward anvillm-places--reference nil t))
          (user-error "No more references"))
        (let ((here (cons (match-beginning 0) (match-end 0))))
          (when (setq place (anvillm-places--this)) (setq anvillm-places--last here)))))
    (let ((window (get-buffer-window nil t)))
      (when window (set-window-point window (point))))
    (anvillm-places-show place)))

(provide 'anvillm-places)
;;; anvillm-places.el ends here
