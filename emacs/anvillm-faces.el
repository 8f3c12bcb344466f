;;; anvillm-faces.el --- The faces of AnviLLM  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; The faces, and which of them are used in header lines and mode lines: these are
;; grey in many themes, and colours that are made for the frame are not legible there.

;;; Code:

(defgroup anvillm-faces nil
  "Faces of AnviLLM."
  :group 'anvillm
  :group 'faces)

(defface anvillm-idle '((t :inherit shadow))
  "A session that is ready for a prompt.")
;; With colours of its own for both: what is behind it is not always that of the frame.
(defface anvillm-asks
  '((((class color) (min-colors 16)) :inherit bold :foreground "black" :background "orange")
    (((class color)) :inherit bold :foreground "black" :background "yellow")
    (t :inherit bold :inverse-video t))
  "The word for a session that waits for an answer.")
(defface anvillm-alarm
  '((((class color)) :inherit bold :foreground "white" :background "red3")
    (t :inherit bold :inverse-video t))
  "An error in a line that has a background of its own.")
(defface anvillm-good '((t :inherit success))
  "What went well.")
(defface anvillm-running '((t :inherit font-lock-function-name-face))
  "A session in a turn.")
(defface anvillm-waiting '((t :inherit warning))
  "A session that waits for an answer.")
(defface anvillm-error '((t :inherit error))
  "A session or message with an error.")
(defface anvillm-off '((t :inherit shadow))
  "A session that is starting or stopped, and what is stale.")
(defface anvillm-name '((t :inherit bold))
  "The name of a session.")
(defface anvillm-id '((t :inherit shadow))
  "The id of a session, a message or a bead.")
(defface anvillm-fresh '((t :inherit (success bold)))
  "The mark of a session with a response not yet looked at.")
(defface anvillm-unread '((t :inherit bold))
  "Mail that waits.")
(defface anvillm-mark '((t :inherit dired-mark))
  "The mark of a marked session.")
(defface anvillm-heading '((t :inherit font-lock-type-face :weight bold))
  "Headings: the speaker of a turn, the header of a message.")
(defface anvillm-key '((t :inherit help-key-binding))
  "A key named in a buffer.")

;;;; Header lines and mode lines

(defconst anvillm-faces--in-lines
  '((anvillm-waiting . bold) (anvillm-fresh . bold) (anvillm-error . anvillm-alarm)
    (anvillm-running) (anvillm-idle) (anvillm-good) (anvillm-off) (anvillm-id))
  "Faces with a colour, and what takes their place in a header line or mode line.")

(defun anvillm-literal (text)
  "Return TEXT, quoted and in faces that are legible, for a header or mode line."
  (let ((text (replace-regexp-in-string "%" "%%" text t t)) (at 0))
    (while (< at (length text))
      (let ((end (next-single-property-change at 'face text (length text)))
            (other (assq (get-text-property at 'face text) anvillm-faces--in-lines)))
        (when other (put-text-property at end 'face (cdr other) text))
        (setq at end)))
    text))

(provide 'anvillm-faces)
;;; anvillm-faces.el ends here
