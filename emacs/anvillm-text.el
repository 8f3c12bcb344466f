;;; anvillm-text.el --- How the words of agents look  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Text properties for what agents say and show: Markdown, code in the colours
;; of its language, diffs.  Nothing in a text is changed or taken away; what is
;; long is left plain.  All of it is pure: strings in, strings out.

;;; Code:

(require 'cl-lib)
(require 'subr-x)

(defvar vc-handled-backends)

(defgroup anvillm-text nil
  "How the words of agents look."
  :group 'anvillm)

(defface anvillm-markdown-heading '((t :inherit font-lock-keyword-face :weight bold))
  "A heading in an answer.")
(defface anvillm-markdown-mark '((t :inherit shadow))
  "The marks of Markdown.")
(defface anvillm-markdown-code '((t :inherit font-lock-constant-face))
  "Code between backquotes in an answer.")
(defface anvillm-markdown-bold '((t :inherit bold))
  "Strong words in an answer.")
(defface anvillm-markdown-italic '((t :inherit italic))
  "Stressed words in an answer.")

(defcustom anvillm-fontify-longest 20000
  "Code and diffs of more characters than this are not coloured."
  :type 'natnum)

(defconst anvillm-text--modes
  '(("sh" . sh-mode) ("bash" . sh-mode) ("shell" . sh-mode) ("zsh" . sh-mode) ("console" . sh-mode)
    ("py" . python-mode) ("js" . js-mode) ("ts" . js-mode) ("typescript" . js-mode)
    ("tsx" . js-mode)
    ("jsx" . js-mode) ("json" . js-mode) ("elisp" . emacs-lisp-mode) ("lisp" . lisp-mode)
    ("cpp" . c++-mode)
    ("c++" . c++-mode) ("h" . c-mode) ("html" . mhtml-mode) ("xml" . nxml-mode)
    ("make" . makefile-mode)
    ("patch" . diff-mode) ("toml" . conf-toml-mode) ("ini" . conf-mode) ("rb" . ruby-mode)
    ("pl" . perl-mode)
    ("tex" . latex-mode) ("dockerfile" . conf-space-mode))
  "Modes whose name is not that of the language.")

(defconst anvillm-text--never '("emacs-lisp" "text" "txt" "markdown" "md" "org" "")
  "Languages for which no mode is looked up by name.")

(defvar anvillm-text-lacking nil "Modes for code that are not loaded.
What is fenced in their languages is left plain.")

(defun anvillm-text--mode (language)
  "Return the mode for LANGUAGE, as named in a fence, or nil."
  (let* ((language (downcase language))
         (known (cdr (assoc language anvillm-text--modes)))
         (mode (or known (and (not (member language anvillm-text--never))
                              (intern-soft (concat language "-mode"))))))
    (cond ((not (and mode (fboundp mode) (or known (rassq mode auto-mode-alist)))) nil)
          ((autoloadp (symbol-function mode)) (cl-pushnew mode anvillm-text-lacking) nil)
          ;; Only what is a mode for programs: a fence names no command.
          ((or known (cl-some (lambda (of) (provided-mode-derived-p mode of))
                             '(prog-mode conf-mode css-mode)))
           mode))))

(defun anvillm-text--buffer (mode)
  "Return a buffer in MODE, made once: to set a mode up costs more than to colour."
  (let ((name (format " *anvillm colours %s*" mode)))
    (or (get-buffer name)
        (let ((buffer (generate-new-buffer name)) made)
          (unwind-protect
              (with-current-buffer buffer
                (buffer-disable-undo)
                (let ((inhibit-message t)
                      vc-handled-backends enable-local-variables prog-mode-hook text-mode-hook)
                  (delay-mode-hooks (funcall mode)))
                (setq made buffer))
            (unless made (kill-buffer buffer)))))))

(defun anvillm-text-fontified (text mode)
  "Return TEXT with the faces that MODE gives it."
  (if (or (null mode) (> (length text) anvillm-fontify-longest)) (substring-no-properties text)
    (condition-case nil
        (with-current-buffer (anvillm-text--buffer mode)
          (erase-buffer)
          (insert text)
          (let ((inhibit-message t)) (font-lock-ensure))
          (let ((at (point-min)) (made (substring-no-properties text)))
            (while (< at (point-max))
              (let ((next (next-single-property-change at 'face nil
                                                       (point-max)))
                    (face (get-text-property at 'face)))
                (when face (put-text-property (1- at) (1- next) 'face face made))
                (setq at next)))
            made))
      (error text))))

(defun anvillm-text--diff-face (line)
  "Return the face of LINE of a diff in Diff mode."
  (cond ((string-prefix-p "@@" line) 'diff-hunk-header)
        ((string-match-p "\\`\\(---\\|\\+\\+\\+\\) " line) 'diff-file-header)
        ((string-prefix-p "+" line) 'diff-added)
        ((string-prefix-p "-" line) 'diff-removed)
        ((string-match-p "\\`\\(diff\\|index\\) " line) 'diff-header)))

(defun anvillm-text-diff (text)
  "Return TEXT, a diff, in the faces of Diff mode."
  (require 'diff-mode)
  (let ((start 0) (made (substring-no-properties text)) (end (length text)))
    (while (< start end)
      (let* ((next (or (string-search "\n" made start) end))
             (face (anvillm-text--diff-face (substring made start (min next (+ start 200))))))
        (when face (put-text-property start (min end (1+ next)) 'face face made))
        (setq start (1+ next))))
    made))

(defun anvillm-text-diff-lines (start end)
  "Give the lines of a diff from START to END the faces of Diff mode."
  (require 'diff-mode)
  (save-excursion
    (goto-char start)
    (while (< (point) end)
      (let* ((from (point)) (eol (line-end-position))
             (face (anvillm-text--diff-face (buffer-substring-no-properties
                                             from (min eol (+ from 200))))))
        (when face (put-text-property from (min end (1+ eol)) 'face face))
        (goto-char (min end (1+ eol)))))))

(defun anvillm-text-make-diff (path old new)
  "Return a unified diff from OLD, a part of the file PATH, to NEW.
Which lines of the file they are is not known: the hunk has no numbers,
unless there is no old text."
  (let* ((old (split-string (string-remove-suffix "\n" old) "\n"))
         (new (split-string (string-remove-suffix "\n" new) "\n"))
         before after)
    (when (equal old '("")) (setq old nil))
    (when (equal new '("")) (setq new nil))
    (while (and old new (equal (car old) (car new)))
      (push (pop old) before)
      (pop new))
    (setq old (nreverse old) new (nreverse new))
    (while (and old new (equal (car old) (car new)))
      (push (pop old) after)
      (pop new))
    (let ((lines (append (mapcar (lambda (l) (concat " " l)) (nreverse before))
                         (mapcar (lambda (l) (concat "-" l)) (nreverse old))
                         (mapcar (lambda (l) (concat "+" l)) (nreverse new))
                         (mapcar (lambda (l) (concat " " l)) after))))
      (cl-flet ((count (sign) (cl-count-if-not (lambda (l) (eq (aref l 0) sign)) lines)))
        (format "--- a/%s\n+++ b/%s\n%s\n%s\n" (string-remove-prefix "/" path)
                (string-remove-prefix "/" path)
                (if (zerop (count ?+)) (format "@@ -0,0 +1,%d @@" (count ?-)) "@@")
                (string-join lines "\n"))))))

;;;; Markdown

(defconst anvillm-text--inline
  '(("`\\([^`\n]+\\)`" . anvillm-markdown-code)
    ("\\*\\*\\([^*\n ][^*\n]*\\)\\*\\*" . anvillm-markdown-bold)
    ("\\_<_\\([^_\n ][^_\n]*\\)_\\_>" . anvillm-markdown-italic))
  "What is marked within a line, and its face.")

(defun anvillm-text-markdown (start end)
  "Give the Markdown between START and END of this buffer its faces."
  (save-excursion
    (goto-char start)
    (let ((end (copy-marker end)))
      (while (< (point) end)
        (cond ((looking-at "[ \t]*\\(`\\{3,\\}\\|~\\{3,\\}\\)[ \t]*\\([^ `\n]*\\).*$")
               (anvillm-text--fence (match-string 1) (match-string 2) end))
              ((looking-at "#\\{1,6\\} .*$")
               (anvillm-text--face (match-beginning 0) (match-end 0) 'anvillm-markdown-heading))
              ((looking-at "[ \t]*\\([-*+]\\|[0-9]+[.)]\\) ")
               (anvillm-text--face (match-beginning 1) (match-end 1) 'anvillm-markdown-heading)
               (anvillm-text--line))
              ((looking-at "[ \t]*>.*$")
               (anvillm-text--face (match-beginning 0) (match-end 0) 'font-lock-comment-face))
              ((looking-at "|.*|[ \t]*$")
               (anvillm-text--table end))
              (t (anvillm-text--line)))
        (forward-line))
      (set-marker end nil))))

(defun anvillm-text--face (start end face)
  "Put FACE on the text from START to END."
  (put-text-property start end 'face face))

(defun anvillm-text--line ()
  "Give what is marked within this line its faces, if it is not too long."
  (let ((end (line-end-position)))
    (when (< (- end (line-beginning-position)) 2000)
      (pcase-dolist (`(,regexp . ,face) anvillm-text--inline)
        (save-excursion
          (beginning-of-line)
          (while (re-search-forward regexp end t)
            (unless (get-text-property (match-beginning 1) 'face)
              (anvillm-text--face (match-beginning 0) (match-beginning 1) 'anvillm-markdown-mark)
              (anvillm-text--face (match-beginning 1) (match-end 1) face)
              (anvillm-text--face (match-end 1) (match-end 0) 'anvillm-markdown-mark))))))))

(defun anvillm-text--fence (mark language end)
  "Colour the code after the fence MARK of LANGUAGE at point, up to END at most."
  (anvillm-text--face (point) (line-end-position) 'anvillm-markdown-mark)
  (forward-line)
  (let* ((start (point))
         (close (and (< start end)
                     (re-search-forward (concat "^[ \t]*" (regexp-quote mark) "[ \t]*$") end t)
                     (match-beginning 0))))
    (goto-char (or close (1- end)))
    (let ((stop (or close end)))
      (when (< start stop)
        (let ((code (buffer-substring-no-properties start stop))
              (mode (anvillm-text--mode language)))
          (if (null mode) (anvillm-text--face start stop 'anvillm-markdown-code)
            (let ((made (if (eq mode 'diff-mode) (anvillm-text-diff code)
                          (anvillm-text-fontified code mode))) (at 0))
              (while (< at (length made))
                (let ((next (next-single-property-change at 'face made (length made))))
                  (anvillm-text--face (+ start at) (+ start next) (get-text-property at 'face made))
                  (setq at next))))))
        (put-text-property start stop 'anvillm-code t)))
    (when close (anvillm-text--face (point) (line-end-position) 'anvillm-markdown-mark))))

(defun anvillm-text--table (end)
  "Line up the columns of the table at point, which ends before END.
The text stays as it is: blanks are only shown wider."
  (let ((first (point)) (widths nil))
    (cl-flet ((cells (function)
                     (goto-char first)
                     (while (and (< (point) end) (looking-at "|.*|[ \t]*$"))
                       (let ((n 0) (at (1+ (point))) (eol (line-end-position)) bar)
                         (while (setq bar
                                      (save-excursion (goto-char at)
                                                      (and (search-forward "|" eol t)
                                                           (1- (point)))))
                           (funcall function n at bar)
                           (setq n (1+ n) at (1+ bar))))
                       (forward-line))))
      (cells (lambda (n from to)
               (setf (alist-get n widths 0)
                     (max (alist-get n widths 0)
                          (min 60 (string-width (buffer-substring from to)))))))
      (goto-char first)
      (anvillm-text--face first (line-end-position) 'anvillm-markdown-bold)
      (cells (lambda (n from to)
               (anvillm-text--face to (1+ to) 'anvillm-markdown-mark)
               (let ((more (- (alist-get n widths) (string-width (buffer-substring from to)))))
                 (when (> more 0)
                   (put-text-property to (1+ to) 'display (concat (make-string more ?\s) "|")))))))
    ;; The last row, from which the caller goes on; a row that still grows ends within its line.
    (goto-char (min (point) end))
    (when (bolp) (forward-line -1))))

(provide 'anvillm-text)
;;; anvillm-text.el ends here
