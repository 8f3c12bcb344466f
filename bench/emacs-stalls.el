;;; emacs-stalls.el --- How long Emacs does not answer a key  -*- lexical-binding: t; -*-

;;; Commentary:

;; Run by bench/emacs_stalls.py in an Emacs in a terminal, with BENCH_OPEN the
;; ids of the conversations that are to be open (none: an Emacs that does nothing).
;; Each key typed into *scratch* is answered at once by its number, behind the
;; back of the terminal.  C-c C-e writes down what was measured and ends.

;;; Code:

(defvar bench-keys -1 "How many keys have come.")
(defvar bench-longest nil "What took longest outside of commands: (SECONDS PROCESSOR-SECONDS NAME).")
(defvar bench-slices nil "The longest of these, in seconds of the processor.")

(defun bench-answer ()
  "Answer the key that has come, and tell how many objects have been drawn."
  (send-string-to-terminal
   (format "\e]9;%d;%d\a" (setq bench-keys (1+ bench-keys))
           (apply #'+ (mapcar (lambda (b) (or (and (boundp 'anvillm-follow-seq)
                                                   (buffer-local-value 'anvillm-follow-seq b))
                                              0))
                              (buffer-list))))))

(defun bench-time (name function &rest args)
  "Apply FUNCTION to ARGS and note how long that took, as NAME."
  (let ((start (float-time)) (used (float-time (get-internal-run-time))))
    (unwind-protect (apply function args)
      (let ((took (- (float-time) start)) (cpu (- (float-time (get-internal-run-time)) used)))
        (when (> cpu 0.01) (push cpu bench-slices))
        (when (> cpu (or (nth 1 bench-longest) 0)) (setq bench-longest (list took cpu name)))))))

(advice-add 'timer-event-handler :around
            (lambda (f timer)
              (apply #'bench-time (format "%S" (aref timer 5)) f (list timer))))

(defun bench-collect ()
  "Return how long a collection takes now, in ms of the processor, and how many values there are."
  (let (took values)
    (dotimes (_ 5)
      (let ((used (float-time (get-internal-run-time))))
        (setq values (garbage-collect))
        (push (* 1000 (- (float-time (get-internal-run-time)) used)) took)))
    (list (apply #'min took)
          (apply #'+ (mapcar (lambda (kind) (nth 2 (assq kind values)))
                             '(conses strings vectors intervals))))))

(defun bench-end ()
  "Write down what was measured, and end."
  (interactive)
  (with-temp-file (getenv "BENCH_OUT")
    (insert (json-encode
             `((longest_ms . ,(* 1000 (or (car bench-longest) 0)))
               (longest_cpu_ms . ,(* 1000 (or (nth 1 bench-longest) 0)))
               (longest_is . ,(or (nth 2 bench-longest) ""))
               (next_cpu_ms . ,(mapconcat (lambda (s) (format "%d" (* 1000 s)))
                                          (seq-take (sort bench-slices #'>) 8) " "))
               ,@(cl-mapcar #'cons '(collection_cpu_ms values) (bench-collect))
               (collections . ,gcs-done) (collecting_ms . ,(* 1000 gc-elapsed))
               (size . ,(apply #'+ (mapcar #'buffer-size (buffer-list))))
               (cpu_s . ,(float-time (get-internal-run-time)))))))
  (kill-emacs 0))

(require 'cl-lib)
(require 'json)
(require 'seq)
(switch-to-buffer "*scratch*")
(fundamental-mode)
(global-set-key (kbd "C-c C-e") #'bench-end)
(when (getenv "BENCH_OPEN")
  (require 'anvillm)
  (require 'anvillm-talk)
  (global-set-key (kbd "C-c C-o")
                  (lambda () (interactive)
                    (dolist (id (split-string (getenv "BENCH_OPEN")))
                      (set-window-buffer (or (window-right (selected-window)) (split-window-right))
                                         (anvillm-conversation-buffer id)))))
  (anvillm-connect))
(garbage-collect)
(add-hook 'post-command-hook #'bench-answer) ; once before the first key
;;; emacs-stalls.el ends here
