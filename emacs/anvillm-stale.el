;;; anvillm-stale.el --- Whether a review is still that of now  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; A review is not drawn again under its reader, who writes comments at its lines.
;; When the agent has worked since, its header says so.

;;; Code:

(require 'anvillm-buffer)
(require 'anvillm-core)

(defvar-local anvillm-stale nil "Non-nil once the agent may have changed what this shows.")

(defvar anvillm-stale-format "*anvillm review %s*" "The name of a buffer that gets old.")

(defun anvillm-stale--event (event)
  "Note what gets old by EVENT."
  (when (or (equal "response" (plist-get event :type))
            (and (equal "state_change" (plist-get event :type))
                 (equal "running" (plist-get event :state))))
    (let ((buffer (anvillm-buffer-find (plist-get event :session_id) anvillm-stale-format)))
      (when buffer
        (with-current-buffer buffer
          (setq anvillm-stale t)
          (force-mode-line-update))))))

(defun anvillm-stale-text ()
  "Return what is to be in a header because of that, or nothing."
  (if anvillm-stale
      (propertize (substitute-command-keys "  old, \\[anvillm-review-refresh] reads it again")
                  'face 'anvillm-waiting)
    ""))

(add-hook 'anvillm-event-functions #'anvillm-stale--event)

(provide 'anvillm-stale)
;;; anvillm-stale.el ends here
