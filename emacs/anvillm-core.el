;;; anvillm-core.el --- Options, and what is known of the sessions  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 the AnviLLM developers
;; SPDX-License-Identifier: MIT
;; URL: https://github.com/lneely/anvillm

;;; Commentary:

;; Options; where the daemon is; and what is known of its sessions,
;; which anvillm-link.el keeps up to date.

;;; Code:

(require 'cl-lib)
(require 'subr-x)
(require 'json)
(require 'iso8601)
(require 'anvillm-cookies)
(require 'anvillm-faces)

;;;; Options

(defgroup anvillm nil
  "Coding agents of AnviLLM."
  :group 'tools
  :prefix "anvillm-"
  :link '(info-link "(anvillm)"))

(defcustom anvillm-namespace nil
  "The namespace directory whose daemon is spoken to.
Nil means $NAMESPACE, or else the one of plan9port for this user and display."
  :type '(choice (const :tag "From the environment" nil) directory))

(defcustom anvillm-sandbox-program "anvil-sandbox"
  "The program that runs git, for diffs, in a sandbox."
  :type 'string)

(defcustom anvillm-program "anvilsrv"
  "The program that starts and stops the daemon."
  :type 'string)

(defcustom anvillm-start-daemon 'ask
  "What to do when no daemon runs: start it, ask first, or nothing."
  :type '(choice (const :tag "Ask" ask) (const :tag "Start it" t) (const :tag "Nothing" nil)))

(defcustom anvillm-confirm '(kill merge push discard undo several)
  "Actions on sessions that ask for confirmation.
The word `several' stands for each of the first four done to more than one."
  :type '(set (const stop) (const restart) (const kill) (const interrupt)
              (const merge) (const push) (const discard) (const undo)
              (const :tag "Any of these for several sessions" several)))

(defcustom anvillm-longest-pause 15.0
  "The longest pause between attempts to connect again, in seconds."
  :type 'number)

(defcustom anvillm-data-directory (locate-user-emacs-file "anvillm/")
  "Where drafts and the history of prompts are kept."
  :type 'directory)

;;;; Where the daemon is

(defun anvillm-namespace ()
  "Return the directory of the namespace (getns(3) of plan9port)."
  (directory-file-name
   (expand-file-name
    (or anvillm-namespace
        (let ((given (getenv "NAMESPACE"))) (and given (not (string-empty-p given)) given))
        (let ((display (or (getenv "DISPLAY") "")))
          (when (string-empty-p display) (setq display ":0"))
          (format "/tmp/ns.%s.%s" (user-login-name)
                  (string-replace "/" "_" (string-remove-suffix ".0" display))))))))

(defun anvillm-socket ()
  "Return the file name of the daemon's socket."
  (expand-file-name "agent" (anvillm-namespace)))

;;;; What is known

(defvar anvillm-known-sessions (make-hash-table :test #'equal)
  "Sessions by id: plists as in the file `sessions'.")
(defvar anvillm-order nil
  "Ids of the sessions, oldest first; the same strings as the keys' plists.")
(defvar anvillm-fresh-ids (make-hash-table :test #'equal)
  "Ids of sessions whose last response is unseen.")
(defvar anvillm-user-unread 0 "How many messages wait for the user.")
(defvar anvillm-link-state 'off
  "State of the link: off, connecting, live, silent or lost.
Silent means connected, but without an answer.")
(defvar anvillm-link-why nil "The condition that ended the last connection.")
(defvar anvillm-errors nil "The last error events, newest first, as plists.")

(defvar anvillm-session-functions nil
  "Called with the id of a session that is new, has changed or is gone.
With nil when any number of them may have.")
(defvar anvillm-event-functions nil "Called with each event, a plist.")
(defvar anvillm-link-hook nil "Run when `anvillm-link-status' changes.")

(defun anvillm-session (id)
  "Return the session of ID, or nil."
  (and id (gethash id anvillm-known-sessions)))

(defun anvillm-sessions ()
  "Return all sessions, oldest first."
  (mapcar (lambda (id) (gethash id anvillm-known-sessions)) anvillm-order))

(defun anvillm-id (session)
  "Return the id of SESSION."
  (plist-get session :id))

(defun anvillm-get (id key)
  "Return what KEY is for the session of ID."
  (plist-get (anvillm-session id) key))

(defun anvillm-name (id)
  "Return the name of session ID: its alias, or else the id."
  (let ((alias (anvillm-get id :alias)))
    (if (member alias (quote (nil "" "-"))) id alias)))

(defun anvillm-directory (id)
  "Return the directory of session ID if it is there, else the present one."
  (let ((cwd (anvillm-get id :cwd)))
    (if (and cwd (file-accessible-directory-p cwd)) (file-name-as-directory cwd)
      default-directory)))

(defun anvillm-needs (session)
  "Return why SESSION needs the user: ask, error, held, mail, fresh, or nil.
The daemon tells; an answer is known before that by its event."
  (let ((told (plist-get session :needs)))
    (cond ((plist-get session :ask) 'ask)
          ((equal (plist-get session :state) "error") 'error)
          ((member told '("held" "mail")) (intern told))
          ((anvillm-fresh-p session) 'fresh))))

(defun anvillm-fresh-p (session)
  "Return non-nil if the user has not looked at the last answer of SESSION."
  (or (gethash (anvillm-id session) anvillm-fresh-ids) (equal "done" (plist-get session :needs))))

(defun anvillm-link-status ()
  "Return the state of the link: off, connecting, live, silent or lost."
  anvillm-link-state)

(defun anvillm-link-text ()
  "Return a few words about the link, or nil when all is well."
  (pcase anvillm-link-state
    ('off "not connected")
    ('connecting "connecting")
    ('silent "the daemon does not answer")
    ('lost (concat (if anvillm-order "stale: " "")
                   (pcase anvillm-link-why
                     (`(anvillm-9p-lost ,sentence) sentence)
                     (_ "no daemon"))))))

(defun anvillm-sentence (condition)
  "Return the sentence of CONDITION, an error; it begins with the reason."
  (pcase condition
    (`(anvillm-9p-error ,sentence . ,_)
     (replace-regexp-in-string "\\`\\(?:not permitted\\|i/o error\\): " "" (format "%s" sentence)))
    (`(anvillm-9p-lost ,path ,why) (format "no daemon at %s: %s" path why))
    (`(anvillm-9p-lost . ,words) (mapconcat (lambda (w) (format "%s" w))
                                            (cons "connection lost" words) ": "))
    (_ (error-message-string condition))))

;;;; Drawing

(defmacro anvillm-drawing (bindings &rest body)
  "Run BODY, which draws in this buffer, with BINDINGS as `let*' has them.
The user may not write there, and has modified nothing."
  (declare (indent 1) (debug let*))
  `(let* ((inhibit-read-only t) ,@bindings)
     (prog1 (progn ,@body)
       (restore-buffer-modified-p nil))))

;;;; Times

(defun anvillm-ago (time)
  "Return how long ago TIME was, seconds since the epoch, in few characters."
  (if (not (numberp time)) ""
    (let ((s (max 0 (- (float-time) time))))
      (cond ((< s 60) "now")
            ((< s 3600) (format "%dm" (/ s 60)))
            ((< s 86400) (format "%dh" (/ s 3600)))
            ((< s (* 99 86400)) (format "%dd" (/ s 86400)))
            (t (format-time-string "%b %y" time))))))

(defun anvillm-time (text)
  "Return the time in TEXT, by ISO 8601, in seconds since the epoch, or nil."
  (ignore-errors (float-time (encode-time (iso8601-parse text)))))

(defun anvillm-clock (time)
  "Return TIME, seconds since the epoch, as of a clock.
Its day is told if that is not today."
  (format-time-string (if (equal (format-time-string "%F") (format-time-string "%F" time))
                          "%H:%M" "%a %d %b %H:%M")
                      time))

;;;; JSON

(defconst anvillm--unseen
  (concat "[\u0000-\u0008\u000b-\u001f\u007f-\u009f"
          "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
          "\U000E0000-\U000E007F]")
  "What acts on the text around it, or is not seen at all.")

(defun anvillm-visible (text)
  "Return TEXT with each control character made visible.
So are marks that turn the direction of the text around them, and what takes up
no room."
  (if (not (string-match-p anvillm--unseen text)) text
    (replace-regexp-in-string
     anvillm--unseen
     (lambda (char)
       (let ((code (aref char 0)))
         (cond ((< code 32) (string (+ #x2400 code)))
               ((= code 127) (string #x2421))
               (t (format "<U+%04X>" code)))))
     (replace-regexp-in-string "\r\n" "\n" text t t) t t)))

(defun anvillm-show-unseen ()
  "Show in this buffer what acts on the text around it, or is not seen at all.
The text stays as it is."
  (let ((table (make-display-table)))
    (dolist (range '((0 . 8) (11 . 31) (127 . 159) (#x61c . #x61c) (#x200b . #x200b)
                     (#x200e . #x200f) (#x2028 . #x202e) (#x2060 . #x2069) (#xfeff . #xfeff)))
      (cl-loop for char from (car range) to (cdr range)
               do (aset table char (vconcat (anvillm-visible (string char))))))
    (setq buffer-display-table table bidi-display-reordering nil)))

(defun anvillm--seen (value)
  "Return VALUE with each control character in its texts made visible."
  (cond ((stringp value) (anvillm-visible value))
        ((consp value) (mapcar #'anvillm--seen value))
        (t value)))

(defun anvillm-json (bytes)
  "Return the value of JSON text BYTES: objects as plists, arrays as lists.
Null, false and empty arrays are nil; no text is nil too.
What would act on a terminal, or on the text around it, is made visible."
  (let ((value (anvillm-json-exact bytes)))
    ;; Whether there is any is seen in the bytes, most of which are plain.
    (if (string-match-p "\\\\[ubfr]\\|[^\n\t -~]" bytes) (anvillm--seen value) value)))

(defun anvillm-json-exact (bytes)
  "Return the value of JSON text BYTES as it is."
  (cond ((string-match-p "\\`[ \t\r\n]*\\'" bytes) nil)
        ((fboundp 'json-parse-string)
         (json-parse-string (if (multibyte-string-p bytes) bytes
                              (decode-coding-string bytes 'utf-8 t))
                            :object-type 'plist :array-type 'list :null-object nil
                            :false-object nil))
        (t (let ((json-object-type 'plist) (json-array-type 'list) (json-null nil) (json-false nil))
             (json-read-from-string (decode-coding-string bytes 'utf-8 t))))))

;;;; Text

(defun anvillm-text (bytes)
  "Return BYTES as text, without a last newline."
  (string-remove-suffix "\n" (anvillm-visible (decode-coding-string bytes 'utf-8 t))))

(defun anvillm-one-line (text)
  "Return TEXT as one line."
  (if (string-match-p "[\t\r\n]" text)
      (string-trim (replace-regexp-in-string "[ \t\r\n]+" " " text))
    text))

(defun anvillm-quote (word)
  "Return WORD quoted for a ctl file, as in rc(1)."
  (if (string-match-p "\\`[^][ \t\r\n'\"\0]+\\'" word)
      word
    (concat "'" (string-replace "'" "''" word) "'")))

(provide 'anvillm-core)
;;; anvillm-core.el ends here
