;;; anvillm-window.el --- Windows that shrink and grow  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A menu or a long message takes lines from a window for a while.  Emacs scrolls it
;; meanwhile, so that point stays in sight, and leaves it so: afterwards the window shows
;; the last line of a conversation and nothing else.  Here it gets back what it showed.

;;; Code:

(defun anvillm-window-keeps-text ()
  "Let windows of this buffer show what they did once they have shrunk and grown."
  (add-hook 'window-size-change-functions #'anvillm-window--resized nil t))

(defun anvillm-window--resized (window)
  "The size of WINDOW, or its buffer, has changed; it has not been drawn yet."
  (let ((height (window-body-height window t)) (old (window-old-body-pixel-height window))
        (kept (window-parameter window 'anvillm-kept)))
    (unless (and (eq (window-buffer window) (plist-get kept :buffer))
                 (= (window-point window) (plist-get kept :point)))
      (setq kept nil))
    (cond ((and (< height old) (not kept)
                (eq (window-buffer window) (window-old-buffer window)))
           (setq kept (list :buffer (window-buffer window) :point (window-point window)
                            :height old
                            :start (with-current-buffer (window-buffer window)
                                     (copy-marker (window-start window))))))
          ((and kept (>= height (plist-get kept :height)))
           (set-window-start window (plist-get kept :start))
           (setq kept nil)))
    (set-window-parameter window 'anvillm-kept kept)
    (when (> height old) (anvillm-window--fill window))))

(defun anvillm-window--fill (window)
  "Leave nothing empty below the end in WINDOW while there is text above."
  (with-selected-window window
    (when (and (> (window-start) (point-min)) (pos-visible-in-window-p (point-max)))
      (save-excursion
        (goto-char (point-max))
        (recenter -1)))))

(provide 'anvillm-window)
;;; anvillm-window.el ends here
