;;; anvillm-log.el --- Logs of messages and conversations  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The log of messages follows the file `log' of the root, and a conversation
;; that of a session where there is nothing better.  Both are made of blocks: a header line, text
;; indented by a tab, an empty line.  Text goes in as it comes, a piece at a
;; time, between keystrokes.  A window that shows the end stays at the end,
;; any other stays where it is.  Long blocks and long lines are folded.

;;; Code:

(require 'anvillm-fold)
(require 'anvillm-garbage)
(require 'anvillm-header)
(require 'anvillm-places)
(require 'anvillm-session)
(require 'anvillm-option)
(require 'anvillm-window)

(defcustom anvillm-log-size 4000000
  "How many characters of a log are kept in its buffer; the oldest go first."
  :type 'natnum
  :group 'anvillm)

(defvar-local anvillm-log-path nil "The file that this buffer follows.")
(defvar-local anvillm-log-op nil "The stream that fills this buffer.")
(defvar-local anvillm-log--seen 0 "How many bytes of the file have been taken in.")
(defvar-local anvillm-log--skip 0 "How many bytes are still to be skipped after connecting again.")
(defvar-local anvillm-log--rest nil "The beginning of a line: pieces of bytes, the last first.")
(defvar-local anvillm-log--block nil "Where the last block begins, a marker.")
(defvar-local anvillm-log--fold nil "The overlay that folds the last block.")
(defvar-local anvillm-log-over nil "Why the stream ended for good, or nil.")

(defconst anvillm-log--turn "^\\(USER\\|ASSISTANT\\|NOTE\\) \\([-0-9T:+Z. ]+\\)$"
  "The header of a turn, as the daemon writes it.")
(defconst anvillm-log--message "^[0-9]+-[0-9]+-[0-9]+ [0-9:]+ .* -> .*$"
  "The header of a message in the log of the root.")

;;;; Following

(defvar-local anvillm-log-follow-function #'anvillm-log-follow
  "Function that goes on with what this buffer follows.")
(defvar-local anvillm-log-toggle-function #'ignore
  "Function that folds or unfolds what is at point, if it can.")
(defvar-local anvillm-log-visit-function #'ignore
  "Function that acts on what is at point, if it can.")
(defvar-local anvillm-log-forget-function #'ignore "Function that forgets what has been taken in.")

(defun anvillm-log-follow ()
  "Follow the file of this buffer, from where it was left."
  (when (and anvillm-log-path (not anvillm-log-op) (not anvillm-log-over)
             (anvillm-9p-live-p anvillm-link-conn))
    (setq anvillm-log--skip anvillm-log--seen)
    (setq anvillm-log-op
          (anvillm-9p-stream anvillm-link-conn anvillm-log-path
                             (anvillm-here #'anvillm-log--came)
                             (anvillm-here #'anvillm-log-ended)))))

(defun anvillm-log-ended (err)
  "The stream has ended because of ERR."
  (setq anvillm-log-op nil)
  (when (or (not err) (eq (car err) 'anvillm-9p-error))
    (setq anvillm-log-over (if err (anvillm-sentence err) "the log has ended"))
    (force-mode-line-update)))

(defun anvillm-log--link-changed ()
  "Go on where the logs were left when the link is up again."
  (when (eq (anvillm-link-status) 'live)
    (dolist (buffer (buffer-list))
      (when (buffer-local-value 'anvillm-log-path buffer)
        (with-current-buffer buffer (funcall anvillm-log-follow-function))))))

(defun anvillm-log--came (bytes)
  "Take in BYTES of the log."
  ;; A log is read from its beginning after every connection; what was seen is skipped.
  (let ((skip (min anvillm-log--skip (length bytes))))
    (cl-decf anvillm-log--skip skip)
    (setq bytes (substring bytes skip)))
  (cl-incf anvillm-log--seen (length bytes))
  (let ((end (length bytes)))
    (while (and (> end 0) (/= (aref bytes (1- end)) ?\n))
      (cl-decf end))
    ;; A line's end never cuts a character, so only whole lines are decoded.
    (if (= end 0)
        (push bytes anvillm-log--rest)
      (let ((lines (apply #'concat
                          (nreverse (cons (substring bytes 0 end)
                                          (cl-shiftf anvillm-log--rest nil))))))
        (when (< end (length bytes)) (push (substring bytes end) anvillm-log--rest))
        (anvillm-log--append (anvillm-visible (decode-coding-string lines 'utf-8 t)))))))

(defun anvillm-log--append (text)
  "Put TEXT, whole lines, at the end of this buffer."
  (anvillm-drawing ((inhibit-modification-hooks t) ; once for a line is too often
                    (tails (cl-remove-if-not (lambda (w) (= (window-point w) (point-max)))
                                             (get-buffer-window-list nil nil t)))
                    (tail (= (point) (point-max))))
    (save-excursion
      (goto-char (point-max))
      (let ((start (point)))
        (insert text)
        (anvillm-log--dress start (copy-marker (point-max)))))
    (when (> (buffer-size) anvillm-log-size) (anvillm-log--trim))
    (when tail (goto-char (point-max)))
    (dolist (w tails) (set-window-point w (point-max)))))

(defun anvillm-log--dress (start end)
  "Turn the lines from START to END into what is shown."
  (goto-char start)
  (while (< (point) end)
    (cond ((looking-at anvillm-log--turn) (anvillm-log--head (anvillm-log--turn-head)))
          ((looking-at anvillm-log--message) (anvillm-log--head (match-string 0)))
          ((eq (char-after) ?\t) (delete-char 1)))
    (let ((eol (line-end-position)))
      (when (and anvillm-fold-columns (> (- eol (point)) anvillm-fold-columns))
        (anvillm-fold (+ (point) anvillm-fold-columns) eol
                           (format "… %d more characters" (- eol (point) anvillm-fold-columns)))))
    (forward-line))
  (anvillm-log--fold-block))

(defun anvillm-log--turn-head ()
  "Return what is shown for the turn's header just matched."
  (let* ((who (match-string 1))
         (time (anvillm-time (match-string 2))))
    (concat (pcase who ("USER" "You") ("NOTE" "Left in repositories")
                   (_ (anvillm-name anvillm-buffer-session)))
            (propertize (concat "  " (if time (anvillm-clock time) (match-string 2)))
                        'face 'anvillm-id))))

(defun anvillm-log--head (text)
  "Put TEXT in place of this line, the header of a new block."
  (anvillm-log--fold-block)
  (delete-region (line-beginning-position) (line-end-position))
  (setq anvillm-log--block (copy-marker (point)) anvillm-log--fold nil)
  (let ((start (point)))
    (insert text)
    (add-face-text-property start (point) 'anvillm-heading t)
    (put-text-property start (point) 'anvillm-head t)
    (beginning-of-line)))

(defun anvillm-log--fold-block ()
  "Fold the last block, up to point, if it is long."
  (when (and anvillm-fold-lines anvillm-log--block)
    (let* ((from (save-excursion (goto-char anvillm-log--block)
                                 (forward-line (1+ anvillm-fold-lines)) (point)))
           (end (save-excursion (skip-chars-backward "\n") (point)))
           (hidden (if (< from end) (count-lines from end) 0)))
      (when (> hidden 3)
        (if anvillm-log--fold
            (progn (move-overlay anvillm-log--fold (1- from) end)
                   (anvillm-fold-label anvillm-log--fold (format "\n… %d more lines" hidden)))
          (setq anvillm-log--fold
                (anvillm-fold (1- from) end (format "\n… %d more lines" hidden))))))))

(defun anvillm-log--trim ()
  "Take the oldest blocks away, to four fifths of `anvillm-log-size', and say so."
  (save-excursion
    (goto-char (- (point-max) (/ (* 4 anvillm-log-size) 5)))
    (let ((head (or (next-single-property-change (point) 'anvillm-head)
                    (line-beginning-position 2))))
      (delete-region (point-min) head)
      (goto-char (point-min))
      (insert-before-markers (propertize "… what is older is not kept here\n" 'face 'anvillm-id)))))

;;;; Moving about

(defun anvillm-log-toggle-fold (&optional all)
  "Show or hide what is folded in this block; in the whole buffer if ALL."
  (interactive "P")
  (anvillm-garbage-later) ; copies of a huge line would be collected several times
  (unless (and (not all) (funcall anvillm-log-toggle-function))
    (anvillm-log--toggle-folds all)))

(defun anvillm-log--toggle-folds (all)
  "Show or hide what is folded in this block; in the whole buffer if ALL."
  (let* ((start (if all (point-min) (or (anvillm-log-head-before (1+ (point))) (point-min))))
         (end (if all (point-max) (or (anvillm-log-head-after (point)) (point-max))))
         (folds (cl-remove-if-not (lambda (o) (overlay-get o 'anvillm-fold))
                                  (overlays-in start end))))
    (if (not folds)
        (message "Nothing is folded here")
      (let ((hide (cl-notany (lambda (o) (overlay-get o 'invisible)) folds)))
        (mapc (if hide #'anvillm-fold-close #'anvillm-fold-more) folds)))))

(defun anvillm-log-head-after (position)
  "Return where the first header after POSITION begins, or nil."
  (let ((at (next-single-property-change position 'anvillm-head)))
    (when (and at (not (get-text-property at 'anvillm-head)))
      (setq at (next-single-property-change at 'anvillm-head)))
    at))

(defun anvillm-log-head-before (position)
  "Return where the last header before POSITION begins, or nil."
  (save-excursion
    (goto-char (min position (point-max)))
    (let (found)
      (while (and (not found) (not (bobp)))
        (goto-char (or (previous-single-property-change (point) 'anvillm-head) (point-min)))
        (when (get-text-property (point) 'anvillm-head) (setq found (point))))
      found)))

(defun anvillm-log-next ()
  "Go to the next turn."
  (interactive)
  (goto-char (or (anvillm-log-head-after (point)) (point-max))))

(defun anvillm-log-previous ()
  "Go to the previous turn."
  (interactive)
  (goto-char (or (anvillm-log-head-before (point)) (point-min))))

(defun anvillm-log-end ()
  "Go to the end and stay there when more comes."
  (interactive)
  (goto-char (point-max)))

(defun anvillm-log-visit (&optional event)
  "Visit the file and line named at point, or at EVENT; else fold this block."
  (interactive (list last-nonmenu-event))
  (when (mouse-event-p event) (posn-set-point (event-end event)))
  (let ((found (anvillm-places-here)))
    (cond (found (anvillm-places-show found))
          ((funcall anvillm-log-visit-function))
          (t (anvillm-log-toggle-fold)))))

;;;; The modes

(defvar anvillm-log-mode-map (anvillm-bindings-map 'log special-mode-map)
  "Keys of logs.")

(define-derived-mode anvillm-log-mode special-mode "AnviLLM-Log"
  "A log of the AnviLLM daemon, as it is written.

\\{anvillm-log-mode-map}"
  :interactive nil
  (setq-local anvillm-client t
        anvillm-log--block nil
        next-error-function #'anvillm-places-next-error
        header-line-format '(:eval (anvillm-literal (anvillm-log--header)))
        revert-buffer-function (lambda (&rest _) (anvillm-log-again)))
  (add-to-invisibility-spec 'anvillm-fold)
  (setq-local bidi-display-reordering 'left-to-right)
  (setq-local bidi-inhibit-bpa t)
  (setq-local scroll-conservatively 101) ; the end stays at the bottom
  (setq-local imenu-create-index-function #'anvillm-log--imenu)
  (buffer-disable-undo)
  (anvillm-window-keeps-text)
  (visual-line-mode)
  (jit-lock-register #'anvillm-places-buttonize)
  (add-hook 'kill-buffer-hook #'anvillm-log--stop nil t)
  (add-hook 'anvillm-link-hook #'anvillm-log--link-changed))

(defun anvillm-log--stop ()
  "Let go of the stream of this buffer."
  (anvillm-9p-cancel (cl-shiftf anvillm-log-op nil)))

(defun anvillm-log-again ()
  "Read this log again from the beginning."
  (interactive)
  (unless (derived-mode-p 'anvillm-log-mode) (user-error "This is not a log"))
  (anvillm-conn)
  (anvillm-log--stop)
  (anvillm-drawing ()
    (mapc #'delete-overlay (overlays-in (point-min) (point-max)))
    (erase-buffer))
  (setq anvillm-log--seen 0 anvillm-log--rest nil anvillm-log--block nil
        anvillm-log--fold nil anvillm-log-over nil)
  (funcall anvillm-log-forget-function)
  (funcall anvillm-log-follow-function))

(defun anvillm-log--header ()
  "Return the header line."
  (let* ((id anvillm-buffer-session) (session (anvillm-session id)) (link (anvillm-link-text))
         (trouble (cond (link (propertize (concat "  " link) 'face 'anvillm-waiting))
                        ((and anvillm-log-over session)
                         (propertize (concat "  " anvillm-log-over) 'face 'anvillm-error))
                        (t ""))))
    (if session (anvillm-header-text session trouble (window-width))
      (concat " " (if id (propertize (format "%s is gone" (or anvillm-buffer-known-name id)) 'face
                                     'anvillm-off)
                    "All messages")
              trouble))))

(defun anvillm-log--imenu ()
  "Return an index of what was asked."
  (let ((at (if (get-text-property (point-min) 'anvillm-head) (point-min)
              (anvillm-log-head-after (point-min))))
        index)
    (while (and at (< at (point-max)))
      (save-excursion
        (goto-char at)
        (unless (and anvillm-buffer-session (not (looking-at "You ")))
          (when anvillm-buffer-session (forward-line))
          (push (cons (truncate-string-to-width
                       (string-trim (buffer-substring-no-properties (point) (line-end-position)))
                       80 nil nil "…")
                      (copy-marker at))
                index)))
      (setq at (anvillm-log-head-after at)))
    (nreverse index)))

(defun anvillm-log-open-buffer (buffer mode path id)
  "Let BUFFER follow PATH in MODE, of session ID; return it."
  (with-current-buffer buffer
    (unless (derived-mode-p mode)
      (funcall mode)
      (setq anvillm-log-path path)
      (when id
        (setq default-directory (anvillm-directory id))))
    (funcall anvillm-log-follow-function))
  buffer)

;;;###autoload
(defun anvillm-log ()
  "Show the log of all messages."
  (interactive)
  (anvillm-connect-later)
  (pop-to-buffer (anvillm-log-open-buffer (get-buffer-create "*anvillm log*") #'anvillm-log-mode
                                          "log" nil)))

(provide 'anvillm-log)
;;; anvillm-log.el ends here
