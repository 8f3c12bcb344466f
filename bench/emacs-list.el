;;; emacs-list.el --- How fast the list is  -*- lexical-binding: t; -*-

;;; Commentary:

;; Run by bench/emacs.py in an Emacs in a terminal, so that drawing is real.
;; $NAMESPACE/agent is a tree with many sessions.  Prints JSON to $BENCH_OUT.
;; The package may be an older one, with other names for the same.

;;; Code:

(require 'anvillm)
(unless (boundp 'anvillm-order)
  (defvaralias 'anvillm-order 'anvillm--order)
  (defvaralias 'anvillm-link-conn 'anvillm--conn)
  (defalias 'anvillm-list-draw #'anvillm-list--draw))
(defvar bench-out (getenv "BENCH_OUT"))

(defun bench-until (predicate)
  "Wait for PREDICATE."
  (let ((end (+ (float-time) 20)))
    (while (not (funcall predicate))
      (when (> (float-time) end) (error "Waited in vain"))
      (accept-process-output nil 0.001))))

(defun bench-ms (since)
  "Return the milliseconds SINCE."
  (* 1000 (- (float-time) since)))

(defun bench-median (numbers)
  "Return the middle of NUMBERS."
  (nth (/ (length numbers) 2) (sort (copy-sequence numbers) #'<)))

(defun bench-rows (states)
  "Change many rows to STATES in turn; return the milliseconds of each, and what one costs of the processor."
  (let ((used (float-time (get-internal-run-time))) (n 200) times)
    (dotimes (i n)
      (let ((id (nth (/ (* i (length anvillm-order)) n) anvillm-order)) (start (float-time)))
        (anvillm--patch id (list :state (nth (% i 2) states)))
        (redisplay t)
        (push (bench-ms start) times)))
    (cons (/ (* 1000 (- (float-time (get-internal-run-time)) used)) n) times)))

(defun bench-run ()
  "Measure."
  (let (results (start (float-time)))
    (garbage-collect)
    (setq start (float-time))
    (anvillm)
    (bench-until (lambda () (> (buffer-size) 5000)))
    (redisplay t)
    (push (cons 'first_draw_ms (bench-ms start)) results)
    (pcase-let ((`(,cpu . ,times) (bench-rows '("running" "error"))))
      (push (cons 'row_changed_ms (bench-median times)) results)
      (push (cons 'row_changed_worst_ms (apply #'max times)) results)
      (push (cons 'row_changed_cpu_ms cpu) results))
    (anvillm-sort "State")
    (pcase-let ((`(,cpu . ,times) (bench-rows '("idle" "stopped"))))
      (push (cons 'row_moved_ms (bench-median times)) results)
      (push (cons 'row_moved_cpu_ms cpu) results))
    (let ((start (float-time)))
      (anvillm-list-draw)
      (redisplay t)
      (push (cons 'full_redraw_ms (bench-ms start)) results))
    (let ((op nil) (n 0) (start (float-time)))
      (while (< n 500)
        (setq op nil)
        (anvillm-9p-read anvillm-link-conn "backends" (lambda (&rest _) (setq op t)))
        (bench-until (lambda () op))
        (setq n (1+ n)))
      (push (cons 'small_file_ms (/ (bench-ms start) n)) results))
    (push (cons 'cpu_s (float-time (get-internal-run-time))) results)
    (with-temp-file bench-out (insert (json-encode (nreverse results))))
    (kill-emacs 0)))

(condition-case err (bench-run)
  (error (with-temp-file bench-out (insert (json-encode (list (cons 'error (format "%S" err)))))) (kill-emacs 1)))
;;; emacs-list.el ends here
