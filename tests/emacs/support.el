;;; support.el --- What the tests of the Emacs package share  -*- lexical-binding: t; -*-

;;; Code:

(require 'ert)
(require 'cl-lib)
(require 'anvillm)

(setq anvillm-list-needing-first nil) ; but where a test is about it

(defvar support-python (or (getenv "PYTHON") "python3") "The Python that has the package.")
(defvar support-here (file-name-directory (or load-file-name buffer-file-name)) "The directory of this file.")

(defun support-until (predicate &optional why)
  "Wait until PREDICATE holds; fail with WHY after thirty seconds."
  (let ((end (+ (float-time) 30)) value)
    (while (not (setq value (funcall predicate)))
      (when (> (float-time) end) (error "Waited in vain: %s" (or why predicate)))
      (accept-process-output nil 0.01))
    value))

(defmacro support-wait (form)
  "Wait until FORM is non-nil and return its value."
  `(support-until (lambda () ,form) ',form))

(cl-defstruct tree process socket)

(defun support-start-tree (socket count)
  "Serve the fake tree with COUNT sessions at SOCKET."
  (let* ((ready nil)
         (process-environment (cons (concat "PYTHONPATH=" (expand-file-name "../.." support-here)) process-environment))
         (process (make-process :name "tree" :connection-type 'pipe :noquery t
                                :command (list support-python (expand-file-name "fake_tree.py" support-here)
                                               socket (number-to-string count))
                                :filter (lambda (_ text) (when (string-match-p "ready" text) (setq ready t))))))
    (support-wait ready)
    (make-tree :process process :socket socket)))

(defun support-stop-tree (tree)
  "End TREE."
  (let ((process (tree-process tree)))
    (when (process-live-p process)
      (signal-process process 'SIGCONT)
      (signal-process process 'SIGKILL)
      (support-wait (not (process-live-p process))))))

(defun support-publish (tree &rest event)
  "Publish EVENT, a plist, in TREE."
  (process-send-string (tree-process tree) (concat (json-encode event) "\n")))

(defmacro support-with-tree (count &rest body)
  "Run BODY with the list of a tree of COUNT sessions; `tree' is it."
  (declare (indent 1))
  `(let* ((dir (make-temp-file "ae" t)) (anvillm-namespace dir)
          (anvillm-data-directory (file-name-as-directory (expand-file-name "data" dir)))
          (tree (support-start-tree (expand-file-name "agent" dir) ,count)))
     (unwind-protect
         (progn
           (support-reset)
           (anvillm)
           (support-wait (= ,count (length anvillm-order)))
           ,@body)
       (support-reset)
       (support-stop-tree tree)
       (delete-directory dir t))))

(defun support-reset ()
  "Forget everything, and close every buffer of ours."
  (dolist (buffer (buffer-list))
    (when (string-prefix-p "*" (buffer-name buffer))
      (unless (member (buffer-name buffer) '("*scratch*" "*Messages*"))
        (with-current-buffer buffer
          (setq-local anvillm-compose-draft nil)
          (set-buffer-modified-p nil)
          (let ((kill-buffer-query-functions nil)) (kill-buffer buffer))))))
  (when (bound-and-true-p anvillm-mode-line-mode) (anvillm-mode-line-mode -1))
  (when (bound-and-true-p anvillm-notify-mode) (anvillm-notify-mode -1))
  (anvillm-disconnect)
  (setq anvillm-link-socket nil anvillm-prompt-history nil
        anvillm-history-loaded t)
  (anvillm--forget-all))

(defun support-row (name)
  "Return the line of the list that has NAME in it, or nil."
  (with-current-buffer "*anvillm*"
    (save-excursion
      (goto-char (point-min))
      (and (search-forward name nil t)
           (buffer-substring (line-beginning-position) (line-end-position))))))

(defun support-row-says (name regexp)
  "Return non-nil if the row of NAME matches REGEXP."
  (let ((row (support-row name))) (and row (string-match-p regexp row))))

(defun support-kept-waiting ()
  "Return how many seconds Emacs was ready to run while others had the processor."
  (with-temp-buffer
    (insert-file-contents-literally "/proc/self/schedstat")
    (/ (string-to-number (nth 1 (split-string (buffer-string)))) 1e9)))

(defmacro support-quick (&rest body)
  "Run BODY and fail if it took 50 ms or more, ten times in a row.
What others have of a busy machine does not count; a wait for the daemon does."
  `(let ((best 1.0) value)
     (dotimes (i 10)
       (when (or (= i 0) (>= best 0.05))
         (let ((kept (support-kept-waiting)) (start (float-time)))
           (setq value (progn ,@body))
           (setq best (min best (- (float-time) start (- (support-kept-waiting) kept)))))))
     (should (< best 0.05))
     value))

(provide 'support)
;;; support.el ends here
