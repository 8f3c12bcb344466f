;;; anvillm-review.el --- A diff, judged  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What a session has changed, since it began or in one turn, as a diff to
;; comment: the comments go to the agent as one prompt.  A hunk can be taken
;; back.  The daemon makes the diff and applies what is written to it, inside
;; the sandbox of the session; no git is run by Emacs.

;;; Code:

(require 'diff-mode)
(require 'anvillm-link)
(require 'anvillm-session)
(require 'anvillm-window)
(require 'anvillm-branch)
(require 'anvillm-sections)
(require 'anvillm-stale)

(declare-function anvillm-places-show "anvillm-log" (place))
(declare-function anvillm-compose-open "anvillm-compose" (name title draft send &optional initial))
(declare-function anvillm-sides-compare "anvillm-sides" (name a b))

(defface anvillm-comment '((t :inherit (font-lock-doc-face highlight)))
  "A comment on a line of a diff."
  :group 'anvillm-faces)

(defvar-local anvillm-review--turn nil "The number of the turn whose diff this is; nil for all.")
(put 'anvillm-review--turn 'permanent-local t)

;;;; Places

(defun anvillm-review--check ()
  "Signal a `user-error' where there is no review."
  (unless (derived-mode-p 'anvillm-review-mode) (user-error "This is not a review")))

(defun anvillm-review--path ()
  "Return the path of the file whose diff point is in, or signal a `user-error'."
  (save-excursion
    (end-of-line)
    (let ((new (and (re-search-backward "^diff " nil 'move) (point))))
      (goto-char (or new (point-min)))
      (if (or (re-search-forward "^\\+\\+\\+ b/\\(.*?\\)\t?$" (anvillm-review--file-end) t)
              (re-search-forward "^--- a/\\(.*?\\)\t?$" (anvillm-review--file-end) t))
          (match-string-no-properties 1)
        (user-error "There is no file here")))))

(defun anvillm-review--file-end ()
  "Return where the diff of the file at point ends."
  (save-excursion (end-of-line)
                  (if (re-search-forward "^diff " nil t) (match-beginning 0) (point-max))))

(defun anvillm-review--line (&optional position)
  "Return the line of the new file at POSITION, by default point."
  (save-excursion
    (when position (goto-char position))
    (beginning-of-line)
    (let ((here (point)))
      (unless (re-search-backward "^@@ -[0-9,]+ \\+\\([0-9]+\\)"
                                  (save-excursion (re-search-backward "^diff " nil t) (point)) t)
        (if (looking-at "@@ -[0-9,]+ \\+\\([0-9]+\\)") (setq here (line-beginning-position 2))
          (user-error "Go to a line of the file")))
      (looking-at "@@ -[0-9,]+ \\+\\([0-9]+\\)")
      (let ((line (string-to-number (match-string 1))))
        (forward-line)
        (while (< (point) here)
          (when (memq (char-after) '(?+ ?\s)) (setq line (1+ line)))
          (forward-line))
        (max 1 line)))))

(defun anvillm-review--top ()
  "Return the top of the work tree."
  (let ((cwd (anvillm-cwd anvillm-buffer-session)))
    (or (locate-dominating-file cwd ".git") cwd)))

;;;; Comments

(defun anvillm-review--comments ()
  "Return the overlays of the comments, first to last."
  (sort (cl-remove-if-not (lambda (o) (overlay-get o 'anvillm-comment))
                          (overlays-in (point-min) (point-max)))
        (lambda (a b) (< (overlay-start a) (overlay-start b)))))

(defun anvillm-review-comment (start end)
  "Comment the line at point, or the lines of the region from START to END.
An empty comment takes the one that is there away."
  (interactive (if (use-region-p) (list (region-beginning) (region-end))
                 (when (and (eobp) (bolp)) (forward-line -1)) ; below the last line is none
                 (list (point) (point))))
  (anvillm-review--check)
  (let* ((path (anvillm-review--path)) (first (anvillm-review--line start))
         (last (anvillm-review--line (if (and (> end start)
                                              (= end (save-excursion (goto-char end)
                                                                     (line-beginning-position))))
                                         (1- end) end)))
         (place (if (> last first) (format "%s:%d-%d" path first last) (format "%s:%d" path first)))
         (old (cl-find-if (lambda (o) (overlay-get o 'anvillm-comment))
                          (overlays-in (save-excursion (goto-char end) (line-beginning-position))
                                       (save-excursion (goto-char end) (line-end-position)))))
         (words (read-string (format "Comment on %s: " place)
                             (and old (overlay-get old 'anvillm-comment)))))
    (when old (delete-overlay old))
    (deactivate-mark)
    (unless (string-blank-p words)
      (let ((overlay (make-overlay (save-excursion (goto-char end) (line-beginning-position))
                                   (save-excursion (goto-char end) (line-end-position)))))
        (overlay-put overlay 'anvillm-comment words)
        (overlay-put overlay 'anvillm-place place)
        (overlay-put overlay 'after-string
                     (propertize (concat "\n  ▌ " words) 'face 'anvillm-comment))))))

(defun anvillm-review-send ()
  "Send all comments to the agent, as one prompt."
  (interactive)
  (anvillm-review--check)
  (let* ((comments (or (anvillm-review--comments)
                       (user-error "There are no comments; c writes one")))
         (id anvillm-buffer-session)
         (text (mapconcat (lambda (o) (format "%s: %s\n" (overlay-get o 'anvillm-place)
                                              (string-replace "\n" "\n "
                                                              (overlay-get o 'anvillm-comment))))
                          comments "")))
    (anvillm-write (concat id "/git/review") text
                   (anvillm-then "review" (lambda (_)
                                            (mapc #'delete-overlay comments)
                                            (let ((n (length comments)))
                                              (message "%d %s sent to %s" n
                                                       (ngettext "comment" "comments" n)
                                                       (anvillm-name id))))))))

;;;; Hunks

(defun anvillm-review-reverse (start end hunk hunk-end)
  "Return the diff that takes back the hunk from HUNK to HUNK-END.
START and END are where the head of its file's diff is."
  (let ((turned '(("--- a/" . "+++ b/") ("+++ b/" . "--- a/") ("--- /dev/null" . "+++ /dev/null")
                  ("+++ /dev/null" . "--- /dev/null") ("new file mode" . "deleted file mode")
                  ("deleted file mode" . "new file mode")))
        head minus plus)
    (dolist (line (split-string (buffer-substring-no-properties start end) "\n" t))
      (let* ((pair (cl-find-if (lambda (p) (string-prefix-p (car p) line)) turned))
             (line (cond (pair (concat (cdr pair) (substring line (length (car pair)))))
                         ((string-match "\\`index \\([0-9a-f]+\\)\\.\\.\\([0-9a-f]+\\)\\(.*\\)"
                                        line)
                          (format "index %s..%s%s" (match-string 2 line) (match-string 1 line)
                                  (match-string 3 line)))
                         (t line))))
        (cond ((string-prefix-p "--- " line) (setq minus line))
              ((string-prefix-p "+++ " line) (setq plus line))
              (t (push line head)))))
    (concat (string-join (nreverse head) "\n") "\n" minus "\n" plus "\n"
            (mapconcat (lambda (line)
                         (cond ((string-match "\\`@@ -\\([0-9,]+\\) \\+\\([0-9,]+\\) @@\\(.*\\)"
                                              line)
                                (format "@@ -%s +%s @@%s" (match-string 2 line)
                                        (match-string 1 line) (match-string 3 line)))
                               ((string-prefix-p "+" line) (concat "-" (substring line 1)))
                               ((string-prefix-p "-" line) (concat "+" (substring line 1)))
                               (t line)))
                       (split-string
                        (string-remove-suffix "\n" (buffer-substring-no-properties hunk hunk-end))
                        "\n")
                       "\n")
            "\n")))

(defun anvillm-review--hunk ()
  "Return (START END HUNK HUNK-END) of the hunk at point, as for its reverse."
  (save-excursion
    (end-of-line)
    (unless (re-search-backward "^@@ " nil t) (user-error "There is no hunk here"))
    (let* ((hunk (point))
           (hunk-end (save-excursion (forward-line)
                                     (if (re-search-forward "^\\(@@\\|diff\\) " nil t)
                                         (match-beginning 0) (point-max))))
           (start (or (save-excursion (re-search-backward "^diff " nil t))
                      (user-error "There is no file here")))
           (end (save-excursion (goto-char start) (re-search-forward "^@@ ") (match-beginning 0))))
      (list start end hunk hunk-end))))

(defun anvillm-review-take-back ()
  "Take the hunk at point back.
The daemon refuses if the file has changed since the diff was made."
  (interactive)
  (anvillm-review--check)
  (let ((diff (apply #'anvillm-review-reverse
                     (anvillm-review--hunk))) (path (anvillm-review--path)))
    (when (yes-or-no-p (format "Take this hunk of %s back? " path))
      (anvillm-write (concat anvillm-buffer-session "/git/apply") diff
                     (anvillm-branch-then anvillm-buffer-session
                                          (format "Take a hunk of %s back" path))))))

(defun anvillm-review-undo ()
  "Take back all that the turn shown here has changed.
Where all changes are shown, ask which turn."
  (interactive)
  (anvillm-review--check)
  (anvillm-undo anvillm-buffer-session
                (or anvillm-review--turn
                    (anvillm-branch-read-turn anvillm-buffer-session "Undo which turn"))))

(defun anvillm-review--changed (id)
  "The work of session ID is another now: read its diffs again."
  (dolist (buffer (buffer-list))
    (when (and (eq (buffer-local-value 'major-mode buffer) 'anvillm-review-mode)
               (equal id (buffer-local-value 'anvillm-buffer-session buffer))
               (anvillm-session id))
      (with-current-buffer buffer (anvillm-review-refresh)))))
(add-hook 'anvillm-branch-functions #'anvillm-review--changed)

;;;; Looking

(defun anvillm-review-visit ()
  "Visit the file at point, at its line."
  (interactive)
  (anvillm-review--check)
  (require 'anvillm-log)
  (let ((file (expand-file-name (anvillm-review--path) (anvillm-review--top)))
        (line (condition-case nil (anvillm-review--line) (user-error 1))))
    (unless (file-regular-p file) (user-error "%s is not there" (abbreviate-file-name file)))
    (anvillm-places-show (list file line nil))))

(defun anvillm-review--before (text)
  "Return TEXT, the file at point as it is now, as it was before the diff."
  (let ((lines (vconcat (split-string text "\n"))) (end (anvillm-review--file-end)) hunks)
    (save-excursion
      (end-of-line)
      (re-search-backward "^diff " nil 'move)
      (while (re-search-forward "^@@ -[0-9,]+ \\+\\([0-9]+\\),?\\([0-9]*\\) @@" end t)
        (let ((at (string-to-number (match-string 1)))
              (count (if (string-empty-p (match-string 2)) 1 (string-to-number (match-string 2))))
              old)
          (forward-line)
          (while (and (< (point) end) (memq (char-after) '(?+ ?- ?\s ?\\)))
            (when (memq (char-after) '(?- ?\s))
              (push (buffer-substring-no-properties (1+ (point)) (line-end-position)) old))
            (forward-line))
          (push (list (max 0 (1- at)) count (nreverse old)) hunks))))
    (pcase-dolist (`(,at ,count ,old) hunks) ; the last first
      (when (> (+ at count) (length lines)) (user-error "The file has changed since"))
      (setq lines (vconcat (seq-subseq lines 0 at) old (seq-subseq lines (+ at count)))))
    (string-join (append lines nil) "\n")))

(defun anvillm-review-ediff ()
  "Compare the file at point with what it was, side by side."
  (interactive)
  (anvillm-review--check)
  (let* ((path (anvillm-review--path)) (file (expand-file-name path (anvillm-review--top)))
         (now (with-temp-buffer (when (file-regular-p file) (insert-file-contents file))
                                (buffer-string)))
         (before (anvillm-review--before now)))
    (require 'anvillm-sides)
    (anvillm-sides-compare path (cons "before" (anvillm-visible before))
                           (cons "now" (anvillm-visible now)))))

;;;; The mode

(defvar anvillm-review-mode-map (anvillm-bindings-map 'review)
  "Keys of a review.")

(define-derived-mode anvillm-review-mode diff-mode "AnviLLM-Review"
  "What a session has changed, for review.

\\{anvillm-review-mode-map}"
  :interactive nil
  (setq buffer-read-only t
        anvillm-client t
        minor-mode-overriding-map-alist nil ; Diff mode puts its own keys there
        header-line-format '(:eval (anvillm-literal (anvillm-review--header))))
  (setq-local revert-buffer-function (lambda (&rest _) (anvillm-review-refresh)))
  (setq-local bidi-display-reordering 'left-to-right)
  (setq-local diff-refine nil)
  (anvillm-window-keeps-text)
  (remove-hook 'write-contents-functions #'diff-write-contents-hooks t)
  (use-local-map anvillm-review-mode-map))

(defun anvillm-review--header ()
  "Return the header line."
  (let ((n (length (anvillm-review--comments))))
    (concat " " (if (anvillm-session anvillm-buffer-session)
                    (propertize (anvillm-name anvillm-buffer-session) 'face 'anvillm-name)
                  (format "%s is gone" (or anvillm-buffer-known-name anvillm-buffer-session)))
            (if anvillm-review--turn (format "  turn %s" anvillm-review--turn) "  all changes")
            (let ((branch (anvillm-branch-of (anvillm-session anvillm-buffer-session))))
              (if (not branch) ""
                (format (substitute-command-keys " on %s (\\[anvillm-merge] merges)") branch)))
            ;; What a turn of a number has changed stays so.
            (if (member anvillm-review--turn '(nil "last")) (anvillm-stale-text) "")
            (substitute-command-keys ; as they are now: Evil has others
             (if (> n 0) (format "  %d %s, \\[anvillm-review-send] sends" n
                                 (ngettext "comment" "comments" n))
               (concat "  \\[anvillm-review-comment] comments, \\[anvillm-review-take-back] takes a"
                       " hunk back, \\[anvillm-review-undo] undoes a turn"))))))

(defun anvillm-review-refresh ()
  "Read the diff again; comments that are not sent yet stay with their lines."
  (interactive)
  (anvillm-review--check)
  (anvillm-read (format (if anvillm-review--turn "%s/turns/%s/diff" "%s/git/diff")
                        anvillm-buffer-session anvillm-review--turn)
                (anvillm-then "diff" #'anvillm-review--draw)))

(defun anvillm-review--draw (bytes)
  "Show BYTES, a diff."
  (anvillm-drawing ((line (line-number-at-pos))
                    (comments (mapcar (lambda (o)
                                        (list (overlay-get o 'anvillm-place)
                                              (overlay-get o 'anvillm-comment)
                                              (save-excursion (goto-char (overlay-start o))
                                                              (buffer-substring-no-properties
                                                               (point) (line-end-position)))))
                                      (anvillm-review--comments))))
    (mapc #'delete-overlay (anvillm-review--comments))
    (setq anvillm-stale nil)
    (erase-buffer)
    (insert (anvillm-visible (decode-coding-string bytes 'utf-8 t)))
    (when (= (buffer-size) 0) (insert "Nothing has changed.\n"))
    (anvillm-review--shorten)
    (anvillm-sections-make)
    (pcase-dolist (`(,place ,words ,text) comments)
      (goto-char (point-min))
      (when (search-forward (concat "\n" text "\n") nil t)
        (let ((overlay (make-overlay (- (point) (length text) 1) (1- (point)))))
          (overlay-put overlay 'anvillm-place
                       (save-excursion
                         (goto-char (overlay-start overlay))
                         (if (string-match-p ":[0-9]+-" place) place
                           (format "%s:%d" (anvillm-review--path) (anvillm-review--line)))))
          (overlay-put overlay 'anvillm-comment words)
          (overlay-put overlay 'after-string
                       (propertize (concat "\n  ▌ " words) 'face 'anvillm-comment)))))
    (goto-char (point-min))
    (forward-line (1- line))))

(defun anvillm-review--shorten ()
  "Show hashes with ten digits; the rest is needed where a hunk is taken back."
  (add-to-invisibility-spec 'anvillm-hash)
  (goto-char (point-min))
  (while (re-search-forward "^index [0-9a-f]" nil t)
    (goto-char (match-beginning 0))
    (while (re-search-forward "\\<[0-9a-f]\\{10\\}\\([0-9a-f]+\\)" (line-end-position) t)
      (put-text-property (match-beginning 1) (match-end 1) 'invisible 'anvillm-hash))
    (forward-line)))

;;;###autoload
(defun anvillm-review (id &optional turn)
  "Show what the session ID has changed since it began, for review.
With a prefix argument ask for a TURN, and show what that one has changed."
  (interactive (list (anvillm-current "Review: ")
                     (and current-prefix-arg (read-string "Turn (a number, or last): " "last"))))
  (anvillm-conn)
  (let ((buffer (anvillm-buffer-get id anvillm-stale-format)))
    (with-current-buffer buffer
      (unless (derived-mode-p 'anvillm-review-mode) (anvillm-review-mode))
      (setq anvillm-review--turn turn default-directory (anvillm-directory id))
      (anvillm-review-refresh))
    (pop-to-buffer buffer)))

(provide 'anvillm-review)
;;; anvillm-review.el ends here
