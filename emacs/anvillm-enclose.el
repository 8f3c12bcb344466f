;;; anvillm-enclose.el --- What goes along with a prompt  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; What stands in a prompt for a region, a buffer or a file, and what is handed
;; over because the agent could not read it: pictures, files from elsewhere,
;; large ones.  Files can be dropped, and pictures pasted.

;;; Code:

(require 'anvillm-link)
(require 'anvillm-session)
(require 'dnd)

(defvar anvillm-compose-targets)
(declare-function yank-media-handler "ext:yank-media" (types handler))

;;;; What stands for text and files

(defun anvillm-fence (text &optional language)
  "Return TEXT in a fence that nothing in it can end; LANGUAGE is named there."
  (let ((longest 2) (start 0))
    (while (string-match "`+" text start)
      (setq longest (max longest (- (match-end 0) (match-beginning 0))) start (match-end 0)))
    (let ((fence (make-string (1+ longest) ?`)))
      (concat fence (or language "") "\n" text (if (string-suffix-p "\n" text) "" "\n") fence
              "\n"))))

(defun anvillm-language ()
  "Return the name of this buffer's language, for a fence."
  (if (derived-mode-p 'prog-mode)
      (string-remove-suffix "-ts" (string-remove-suffix "-mode" (symbol-name major-mode)))
    ""))

(defun anvillm-region-reference (start end)
  "Return the text from START to END behind where it stands, as FILE:LINE."
  (concat (anvillm-reference start end) "\n\n"
          (anvillm-fence (buffer-substring-no-properties start end) (anvillm-language))))

(defun anvillm-reference (&optional start end)
  "Return what names this buffer, with the lines of START and END."
  (let* ((name (if buffer-file-name
                   (abbreviate-file-name (or (file-remote-p buffer-file-name 'localname)
                                             buffer-file-name))
                 (buffer-name)))
         (first (and start (line-number-at-pos start t)))
         (last (and end
                    (line-number-at-pos (if (and (> end start) (eq (char-before end) ?\n)) (1- end)
                                          end) t))))
    (cond ((not first) name)
          ((or (not last) (= first last)) (format "%s:%d" name first))
          (t (format "%s:%d-%d" name first last)))))

(defun anvillm-enclose--put (text)
  "Insert TEXT at point, apart from the words before and after it."
  (unless (or (bolp) (memq (char-before) '(?\s ?\t)))
    (insert (if (string-search "\n" text) "\n" " ")))
  (insert text)
  (when (looking-at "[[:alnum:]/~.@_]*[[:alnum:]/~]") (save-excursion (insert " "))))

(defun anvillm-compose-attach (&optional content)
  "Attach the region of another window, or else a file.
A file is named, for the agent to read; with a prefix argument CONTENT, or if it
is outside the directory of the session, its text is put in.  Pictures, other
files that are no text, and large ones are named in any case; where the agent
could not read them, it is given a copy in its attach/."
  (interactive "P")
  (let ((other (cl-find-if (lambda (b) (and (not (eq b (current-buffer)))
                                            (buffer-local-value 'mark-active b)
                                            (with-current-buffer b (use-region-p))))
                           (mapcar #'window-buffer (window-list)))))
    (if other
        (anvillm-enclose--put
         (with-current-buffer other
           (prog1 (anvillm-region-reference (region-beginning) (region-end))
             (deactivate-mark))))
      (anvillm-enclose-file (expand-file-name (read-file-name "Attach file: " nil nil t))
                            content))))

(defun anvillm-enclose-file (file &optional content)
  "Put what stands for FILE at point, its text if CONTENT is wanted.
Where the agent could not read it, it is given a copy."
  (let* ((cwd (anvillm-get (car anvillm-compose-targets) :cwd))
         (inside (and cwd (file-in-directory-p file cwd))))
    (if-let* ((text (anvillm-enclose--file-text file (and inside cwd) content)))
        (anvillm-enclose--put text)
      (anvillm-enclose--hand-over file))))

(defconst anvillm-enclose--largest 65536
  "The largest file whose text is put into a prompt, in bytes.")

(defun anvillm-enclose--file-text (file directory content)
  "Return what stands for FILE in a prompt; nil if the agent needs a copy.
DIRECTORY is that of the session if the file is below it; with CONTENT its text
is wanted all the same."
  (let ((text (and (or content (not directory)) (anvillm-enclose--readable file))))
    (cond (text (concat (if directory (file-relative-name file directory)
                          (abbreviate-file-name file))
                        "\n\n" (anvillm-fence text)))
          (directory (file-relative-name file directory)))))

(defconst anvillm-enclose--most (* 8 1024 1024)
  "The largest file that can be handed over, in bytes.")

(defun anvillm-enclose--hand-over (file)
  "Give the sessions of this prompt a copy of FILE, and name it at point then."
  (anvillm-enclose--check-size (or (file-attribute-size (file-attributes file)) 0)
                               (abbreviate-file-name file))
  (anvillm-enclose--data (anvillm-enclose--attached-name file)
                         (with-temp-buffer
                           (set-buffer-multibyte nil)
                           (insert-file-contents-literally file)
                           (buffer-string))))

(defun anvillm-enclose--check-size (size what)
  "Signal a `user-error' if SIZE, of WHAT, is more than can be handed over."
  (when (> size anvillm-enclose--most)
    (user-error "%s is larger than %s" what
                (file-size-human-readable anvillm-enclose--most))))

(defun anvillm-enclose--data (name data)
  "Give the sessions of this prompt DATA as NAME, and name it at point then."
  (let ((place (point-marker)))
    (message "Handing over %s…" name)
    (anvillm-enclose--hand-on
     (format-time-string "%H%M%S-") name data anvillm-compose-targets
     (lambda (name)
       (when (marker-buffer place)
         (with-current-buffer (marker-buffer place)
           (let ((here (= (point) place)) end)
             (save-excursion
               (goto-char place)
               (anvillm-enclose--put (concat "attach/" name))
               (setq end (point)))
             (when here (goto-char end))))
         (message "attach/%s" name))))))

(defun anvillm-enclose--attached-name (file)
  "Return the name of FILE as one of a session's attach/ can be."
  (let ((name (replace-regexp-in-string "[^[:alnum:]_.+-]" "_" (file-name-nondirectory file))))
    (substring name (max 0 (- (length name) 60)))))

(defun anvillm-enclose--hand-on (time name data ids done)
  "Make NAME with DATA in attach/ of the sessions IDS, then call DONE with it.
TIME goes before the name, so that it is another than that of yesterday's."
  (let ((whole (concat time name)))
    (if (null ids)
        (funcall done whole)
      (anvillm-create (concat (car ids) "/attach/" whole) data
                      (anvillm-then "attach"
                                    (lambda (_)
                                      (anvillm-enclose--hand-on time name data (cdr ids) done)))))))

(defun anvillm-enclose--readable (file)
  "Return the text of FILE, or nil if it is none or too large."
  (when (and (<= (or (file-attribute-size (file-attributes file)) 0) anvillm-enclose--largest)
             (not (let ((case-fold-search t))
                    (string-match-p
                     "\\.\\(png\\|jpe?g\\|gif\\|webp\\|bmp\\|tiff?\\|svgz?\\|ico\\|pdf\\)\\'"
                     file))))
    (with-temp-buffer
      (set-buffer-multibyte nil)
      (insert-file-contents-literally file)
      (let ((text (decode-coding-string (buffer-string) 'utf-8 t)))
        (unless (or (string-search "\0" text)
                    (memq 'eight-bit (find-charset-string text))) ; bytes that are no UTF-8
          text)))))

;;;; Dropped and pasted

(defun anvillm-enclose-setup ()
  "Let files be dropped into this buffer, and pictures be pasted."
  (setq-local dnd-protocol-alist
              (cons '("\\`file:" . anvillm-enclose--dropped) dnd-protocol-alist))
  (when (fboundp 'yank-media-handler) ; since Emacs 29
    (yank-media-handler "image/.*" #'anvillm-enclose--pasted)))

(defun anvillm-enclose--dropped (url _action)
  "Put what stands for the file of URL, which was dropped here, at point."
  (let ((file (dnd-get-local-file-name url t)))
    (unless file (user-error "There is no such file here: %s" url))
    (anvillm-enclose-file file)
    'private))

(defun anvillm-enclose--pasted (type data)
  "Give the sessions of this prompt DATA, a picture of TYPE as in image/png."
  (let ((data (if (multibyte-string-p data) (encode-coding-string data 'binary t) data)))
    (anvillm-enclose--check-size (length data) "The picture")
    (anvillm-enclose--data
     (concat "pasted." (replace-regexp-in-string
                        "[^a-z0-9]" ""
                        (car (split-string (cadr (split-string (format "%s" type) "/"))
                                           "[+;]"))))
     data)))

(defun anvillm-yank-picture ()
  "Give the sessions of this prompt the picture in the clipboard, and name it here."
  (interactive)
  (unless anvillm-compose-targets (user-error "This is not a prompt"))
  (let* ((types (append (gui-get-selection 'CLIPBOARD 'TARGETS) nil))
         (type (cl-find-if (lambda (type) (memq type types))
                           '(image/png image/jpeg image/webp image/gif image/tiff image/svg+xml)))
         (data (and type (gui-get-selection 'CLIPBOARD type))))
    (unless data (user-error "There is no picture in the clipboard"))
    (anvillm-enclose--pasted type data)))

(provide 'anvillm-enclose)
;;; anvillm-enclose.el ends here
