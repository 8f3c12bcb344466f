;;; anvillm-evil.el --- AnviLLM in the normal state of Evil  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; With (with-eval-after-load 'evil (anvillm-evil-setup)) in your init file every
;; mode of AnviLLM starts in the normal state, where its keys are what they are
;; without Evil, but for those that move: h j k l, gg and G, /, n and N.  What was
;; on one of these is behind g.
;; A prompt is written in the insert state.

;;; Code:

(require 'anvillm)
(require 'anvillm-bindings)

(declare-function evil-set-initial-state "ext:evil-core" (mode state))
(declare-function evil-define-key* "ext:evil-core" (state keymap key def &rest bindings))
(declare-function evil-insert-state "ext:evil-states" (&optional arg))

(defconst anvillm-evil--moving '("g" "G" "h" "j" "k" "l" "n" "N" "/" "H" "M" "L")
  "Keys that move in the normal state, and stay so.")

(defconst anvillm-evil--modes
  '((anvillm anvillm-mode anvillm-mode-map) (anvillm-log anvillm-log-mode anvillm-log-mode-map)
    (anvillm-talk anvillm-conversation-mode nil)
    (anvillm-talk anvillm-output-mode anvillm-output-mode-map)
    (anvillm-ask anvillm-ask-mode anvillm-ask-mode-map)
    (anvillm-queue anvillm-queue-mode anvillm-queue-mode-map)
    (anvillm-review anvillm-review-mode anvillm-review-mode-map)
    (anvillm-waiting anvillm-waiting-mode anvillm-waiting-mode-map)
    (anvillm-mail anvillm-mail-mode anvillm-mail-mode-map)
    (anvillm-mail anvillm-message-mode anvillm-message-mode-map)
    (anvillm-beads anvillm-beads-mode anvillm-beads-mode-map)
    (anvillm-beads anvillm-bead-mode anvillm-bead-mode-map)
    (anvillm-daemon anvillm-daemon-mode anvillm-daemon-mode-map))
  "Files, the modes in them, and their keymaps.")

(defun anvillm-evil--keys (map)
  "Put the keys of MAP into the normal state."
  (pcase-dolist (`(,command . ,keys) (anvillm-bindings-of map))
    (when (string-prefix-p "anvillm" (symbol-name command))
      (dolist (key keys)
        (evil-define-key* 'normal map
                          (kbd (if (member key anvillm-evil--moving)
                                   (concat "g " (if (equal key "g") "r" key))
                                 key))
                          command))))
  (evil-define-key* 'normal map (kbd "q") #'quit-window (kbd "g g") #'beginning-of-buffer))

;;;###autoload
(defun anvillm-evil-setup ()
  "Let the modes of AnviLLM start in the normal state of Evil, with their keys.
For your init file, once Evil is loaded."
  (pcase-dolist (`(,file ,mode ,map) anvillm-evil--modes)
    (require file)
    (evil-set-initial-state mode 'normal)
    (when map (anvillm-evil--keys (symbol-value map))))
  (add-hook 'anvillm-compose-hook #'evil-insert-state))

(provide 'anvillm-evil)
;;; anvillm-evil.el ends here
