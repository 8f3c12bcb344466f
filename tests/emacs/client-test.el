;;; client-test.el --- The 9P client against a server that misbehaves  -*- lexical-binding: t; -*-

;;; Code:

(require 'ert)
(require 'anvillm-9p)
(require 'anvillm-core)
(require 'fake-9p)

(defmacro client-test-with (files outgoing &rest body)
  "Run BODY with a `fake' of FILES and OUTGOING, and a `conn' to it."
  (declare (indent 2))
  `(let* ((fake (fake-start ,files ,outgoing)) (conn (anvillm-9p-connect (fake-path fake))))
     (unwind-protect (progn (ignore fake conn) ,@body)
       (anvillm-9p-close conn)
       (fake-stop fake))))

(defun client-test-until (predicate)
  "Wait until PREDICATE holds, for thirty seconds at most."
  (let ((end (+ (float-time) 30)))
    (while (not (funcall predicate))
      (when (> (float-time) end) (error "Waited in vain"))
      (accept-process-output nil 0.01))))

(defun client-test-fids-are-back (fake)
  "Wait until FAKE knows no fid but the root."
  (client-test-until (lambda () (= (hash-table-count (fake-fids fake)) 1))))

(defconst client-test-bytes
  (let ((s (make-string 70000 0))) (dotimes (i 70000) (aset s i (logand (* i 7) 255))) s)
  "Bytes of every value, longer than a message.")

(ert-deftest client-every-message-decodes-to-what-was-encoded ()
  (dolist (message '((Tversion 65535 8192 "9P2000") (Rerror 3 "no such — file")
                     (Twalk 1 2 3 ("a" "ü" "日本")) (Rwalk 1 ((128 1 4611686018427387905) (0 2 3)))
                     (Tread 7 1 18446744073709551615 8168) (Rread 7 "\0\377abc") (Rflush 9)
                     (Twrite 1 2 4294967296 "x") (Rstat 4 "12345")))
    (should (equal message (anvillm-wire-decode (apply #'anvillm-wire-encode message))))))

(ert-deftest client-shows-what-acts-on-a-terminal-or-turns-the-text ()
  (should (equal (anvillm-json "[{\"a\":\"x\\u001b[2J\\u009b\\u202ey\\r\\nz\\\\u202e\\t\"}]")
                 `((:a ,(concat "x\u241b[2J<U+009B><U+202E>y\nz\\u202e\t")))))
  (should (equal (anvillm-json "{\"n\":[1,2.5,null,true]}") '(:n (1 2.5 nil t)))))

(ert-deftest client-reads-a-file-longer-than-a-message-byte-for-byte ()
  (client-test-with `(("a/b" . ,client-test-bytes)) nil
    (should (equal client-test-bytes (anvillm-9p-sync 30 #'anvillm-9p-read conn "a/b")))
    (client-test-fids-are-back fake)))

(ert-deftest client-understands-replies-split-at-every-byte ()
  (client-test-with '(("f" . "hello"))
      (lambda (_ reply) (mapcar #'unibyte-string (fake-frame reply)))
    (should (equal "hello" (anvillm-9p-sync 30 #'anvillm-9p-read conn "f")))))

(ert-deftest client-understands-many-replies-in-one-piece ()
  (client-test-with '(("f" . "hello") ("g" . "bye"))
      (lambda (fake reply)
        (setf (fake-held fake) (concat (fake-held fake) (fake-frame reply)))
        (unless (and (eq (car reply) 'Rwalk) (< (fake-count fake 'Twalk) 2))
          (list (prog1 (fake-held fake) (setf (fake-held fake) "")))))
    (let (got)
      (anvillm-9p-read conn "f" (lambda (data _) (push data got)))
      (anvillm-9p-read conn "g" (lambda (data _) (push data got)))
      (client-test-until (lambda () (= (length got) 2)))
      (should (equal (sort got #'string<) '("bye" "hello"))))))

(ert-deftest client-understands-replies-in-another-order ()
  (client-test-with '(("f" . "first") ("g" . "second"))
      (lambda (fake reply)
        ;; The first walk is answered after everything of the second file.
        (cond ((and (eq (car reply) 'Rwalk) (not (fake-held fake)))
               (setf (fake-held fake) reply)
               nil)
              ((and (eq (car reply) 'Rclunk) (consp (fake-held fake)))
               (list (fake-frame reply)
                     (prog1 (fake-frame (fake-held fake)) (setf (fake-held fake) t))))
              (t (list (fake-frame reply)))))
    (let (got)
      (anvillm-9p-read conn "f" (lambda (data _) (push data got)))
      (anvillm-9p-read conn "g" (lambda (data _) (push data got)))
      (client-test-until (lambda () (= (length got) 2)))
      (should (equal got '("first" "second"))))))

(ert-deftest client-turns-an-rerror-into-a-condition-and-gives-the-fid-back ()
  (client-test-with '(("refuse" . "")) nil
    (should (equal '(anvillm-9p-error "no file 'none'")
                   (should-error (anvillm-9p-sync 30 #'anvillm-9p-read conn "none") :type 'anvillm-error)))
    (should (equal '(anvillm-9p-error "not idle: running")
                   (should-error (anvillm-9p-sync 30 #'anvillm-9p-write conn "refuse" "x"))))
    (client-test-fids-are-back fake)))

(ert-deftest client-writes-text-as-utf-8-in-pieces-and-waits-for-the-clunk ()
  (client-test-with '(("in" . "")) nil
    (let ((text (apply #'concat (make-list 9000 "aü日"))))
      (should (eq t (anvillm-9p-sync 30 #'anvillm-9p-write conn "in" text)))
      (should (equal (encode-coding-string text 'utf-8) (fake-written fake)))
      (should (= 1 (fake-count fake 'Tclunk))))))

(ert-deftest client-reports-what-is-refused-at-clunk ()
  (client-test-with '(("in" . ""))
      (lambda (_ reply)
        (list (fake-frame (if (eq (car reply) 'Rclunk) (list 'Rerror (cadr reply) "queue is full") reply))))
    (should (equal '(anvillm-9p-error "queue is full")
                   (should-error (anvillm-9p-sync 30 #'anvillm-9p-write conn "in" "x"))))))

(ert-deftest client-ends-everything-under-way-when-the-connection-drops ()
  (client-test-with '(("s" . block)) nil
    (let (closed got)
      (setf (anvillm-conn-on-close conn) (lambda (_ err) (setq closed err)))
      (anvillm-9p-read conn "s" (lambda (_ err) (setq got err)))
      (client-test-until (lambda () (> (fake-count fake 'Tread) 0)))
      (fake-hang-up fake)
      (client-test-until (lambda () (and closed got)))
      (should (eq 'anvillm-9p-lost (car got)))
      (should-not (anvillm-9p-live-p conn))
      (should (eq 'anvillm-9p-lost (car (should-error (anvillm-9p-sync 30 #'anvillm-9p-read conn "s"))))))))

(ert-deftest client-says-when-a-lost-write-may-have-been-accepted ()
  (client-test-with '(("in" . ""))
      (lambda (fake reply)
        (if (eq (car reply) 'Rclunk) (progn (fake-hang-up fake) nil) (list (fake-frame reply))))
    (should (equal '(anvillm-9p-lost "it may have been accepted")
                   (should-error (anvillm-9p-sync 30 #'anvillm-9p-write conn "in" "x"))))))

;; The daemon puts the kind of an error first where its text does not tell it.
(ert-deftest client-shows-an-error-with-its-reason-first ()
  (should (equal (anvillm-sentence '(anvillm-9p-error "not permitted: prompt 1 is running"))
                 "prompt 1 is running"))
  (should (equal (anvillm-sentence '(anvillm-9p-error "i/o error: cannot save"))
                 "cannot save"))
  (should (equal (anvillm-sentence '(anvillm-9p-error "busy: not permitted: x"))
                 "busy: not permitted: x")))

(ert-deftest client-refuses-a-reply-of-impossible-size ()
  (client-test-with '(("f" . "x"))
      (lambda (_ reply)
        (list (if (eq (car reply) 'Rwalk) "\377\377\377\377\157\0\0" (fake-frame reply))))
    (should (equal '(anvillm-9p-lost "malformed message")
                   (should-error (anvillm-9p-sync 30 #'anvillm-9p-read conn "f"))))))

(ert-deftest client-flushes-what-timed-out-and-uses-no-tag-or-fid-twice ()
  (client-test-with '(("s" . block) ("f" . "ok")) nil
    (should-error (anvillm-9p-sync 0.05 #'anvillm-9p-read conn "s") :type 'anvillm-9p-timeout)
    (client-test-fids-are-back fake)
    (let ((read (cl-find 'Tread (fake-requests fake) :key #'car))
          (flush (cl-find 'Tflush (fake-requests fake) :key #'car)))
      (should (= (nth 2 flush) (nth 1 read))))
    (should (equal "ok" (anvillm-9p-sync 30 #'anvillm-9p-read conn "f")))))

;; As an agent's question is answered, which comes in work that a timer does.
(ert-deftest client-waits-while-timers-set-timers ()
  (client-test-with '(("s" . block)) nil
    (let ((start (float-time)) ran)
      ;; When all that the peer has to say has come.
      (run-at-time 0.3 nil (lambda () (run-at-time 0 nil (lambda () (setq ran (- (float-time) start))))))
      (should-error (anvillm-9p-sync 3 #'anvillm-9p-read conn "s") :type 'anvillm-9p-timeout)
      (should (< ran 2)))))

(ert-deftest client-flushes-what-the-user-quit ()
  (client-test-with '(("s" . block)) nil
    ;; A throw out of the wait is what C-g is.
    (with-timeout (0.05) (anvillm-9p-sync 30 #'anvillm-9p-read conn "s"))
    (client-test-until (lambda () (= 1 (fake-count fake 'Tflush))))
    (client-test-fids-are-back fake)))

(ert-deftest client-takes-a-reply-that-crosses-the-flush ()
  (client-test-with '(("f" . "x"))
      (lambda (fake reply)
        ;; Hold the walk's answer until the flush comes, then send both.
        (pcase (car reply)
          ('Rwalk (setf (fake-held fake) (fake-frame reply)) nil)
          ('Rflush (list (concat (fake-held fake) (fake-frame reply))))
          (_ (list (fake-frame reply)))))
    (should-error (anvillm-9p-sync 0.05 #'anvillm-9p-read conn "f") :type 'anvillm-9p-timeout)
    ;; The walk had made a fid: it must be clunked, once.
    (client-test-until (lambda () (= 1 (fake-count fake 'Tclunk))))
    (client-test-fids-are-back fake)
    (should (= 0 (fake-count fake 'Topen)))))

(ert-deftest client-streams-and-is-cancelled ()
  (let ((lines '("one\n" "two\n")))
    (client-test-with `(("events" . ,(lambda (tag &rest _) (and lines (list 'Rread tag (pop lines)))))) nil
      (let* ((got nil) (ended nil)
             (op (anvillm-9p-stream conn "events" (lambda (data) (push data got)) (lambda (err) (setq ended (list err))))))
        (client-test-until (lambda () (= (length got) 2)))
        (should (equal got '("two\n" "one\n")))
        (client-test-until (lambda () (= 3 (fake-count fake 'Tread))))
        (anvillm-9p-cancel op)
        (client-test-fids-are-back fake)
        (should-not ended)))))

(ert-deftest client-goes-on-when-a-callback-fails ()
  (client-test-with '(("f" . "x")) nil
    (let ((debug-on-error nil) (inhibit-message t) done)
      (anvillm-9p-read conn "f" (lambda (&rest _) (error "A bad callback")))
      (anvillm-9p-read conn "f" (lambda (&rest _) (setq done t)))
      (client-test-until (lambda () done)))))

(ert-deftest client-never-waits-for-a-server-that-reads-nothing ()
  (client-test-with '(("in" . "")) nil
    (anvillm-9p-sync 30 #'anvillm-9p-write conn "in" "")
    (stop-process (fake-client fake))
    (let ((started (float-time)) (done 0))
      (dotimes (_ 60)
        (anvillm-9p-write conn "in" (make-string 7000 ?x) (lambda (_ err) (unless err (cl-incf done)))))
      (should (< (- (float-time) started) 5)) ; a full socket would be waited for without end
      (should (< (anvillm-9p--unacked conn) 212992))
      (continue-process (fake-client fake))
      (client-test-until (lambda () (= done 60))))))

(ert-deftest client-reaches-a-socket-with-a-long-name ()
  (let* ((dir (make-temp-file "a9" t)) (deep (expand-file-name (make-string 120 ?d) dir)))
    (unwind-protect
        (client-test-with '(("f" . "far")) nil
          (make-directory deep)
          (rename-file (fake-path fake) (expand-file-name "s" deep))
          (let ((far (anvillm-9p-connect (expand-file-name "s" deep))))
            (should (equal "far" (anvillm-9p-sync 30 #'anvillm-9p-read far "f")))
            (anvillm-9p-close far)))
      (delete-directory dir t))))

(ert-deftest client-says-at-once-and-why-that-nobody-listens ()
  (should (equal '(anvillm-9p-lost "/nonexistent/agent" "no such socket")
                 (should-error (anvillm-9p-connect "/nonexistent/agent"))))
  (let* ((fake (fake-start nil)) (path (fake-path fake)))
    ;; A socket whose owner was killed.
    (rename-file path (concat path "x"))
    (delete-process (fake-process fake))
    (rename-file (concat path "x") path)
    (should (equal (list 'anvillm-9p-lost path "nobody answers there")
                   (should-error (anvillm-9p-connect path))))
    (fake-stop fake)))

(provide 'client-test)

(ert-deftest client-connects-only-where-nobody-else-can-have-put-the-socket ()
  (client-test-with nil nil
    (let* ((path (fake-path fake)) (directory (directory-file-name (file-name-directory path))))
      (dolist (modes '(#o770 #o707))
        (set-file-modes directory modes)
        (should (equal (list 'anvillm-9p-lost (abbreviate-file-name directory) "others may write to it")
                       (should-error (anvillm-9p-connect path)))))
      (set-file-modes directory #o700)
      (anvillm-9p-close (anvillm-9p-connect path))
      (when (and (= 0 (user-uid)) (executable-find "chown"))
        (dolist (file (list path directory))
          (call-process "chown" nil nil nil "65534" file)
          (should (equal (list 'anvillm-9p-lost (abbreviate-file-name file) "it belongs to another user")
                         (should-error (anvillm-9p-connect path))))
          (call-process "chown" nil nil nil "0" file))))))

;;; client-test.el ends here
