;;; editor-test.el --- What agents may ask of Emacs  -*- lexical-binding: t; -*-

;;; Commentary:

;; $NAMESPACE is that of a running daemon, $STATE its state, $WORK a directory
;; for sessions.  The agent's end is the session's own socket, as its MCP server
;; uses it.

;;; Code:

(require 'support)
(require 'anvillm-talk)
(require 'anvillm-proposal)
(require 'flymake)
(require 'xref)

(defvar editor-test-work (file-name-as-directory (file-truename (getenv "WORK"))))

(defun editor-test-file (name text &optional directory)
  "Write TEXT to the file NAME of the work directory, or of DIRECTORY; return its name."
  (let ((file (expand-file-name name (or directory editor-test-work))))
    (write-region text nil file nil 'silent)
    file))

(defun editor-test-start (role)
  "Start a session with ROLE and return its id when it is idle."
  (let* (id (anvillm-started-functions (list (lambda (new) (setq id new)))))
    (anvillm-start "shell" editor-test-work `((role . ,role)))
    (support-wait id)
    (support-wait (equal "idle" (anvillm-get id :state)))
    id))

(defun editor-test-agent (id)
  "Return a connection to the daemon as the session ID."
  (anvillm-9p-connect (format "%s/sessions/%s/ns/agent" (getenv "STATE") id)))

(defun editor-test-json (tool arguments)
  "Return what asks TOOL with ARGUMENTS."
  (json-encode (list :tool tool :arguments (or arguments (make-hash-table)))))

(defvar editor-test-id nil "The session that asks.")
(defvar editor-test-conn nil "Its connection.")

(defun editor-test-ask (tool &rest arguments)
  "Ask TOOL with ARGUMENTS as the agent, and return what is answered."
  (anvillm-json-exact
   (anvillm-9p-sync 30 #'anvillm-9p-write-read editor-test-conn (concat editor-test-id "/editor")
                    (editor-test-json tool arguments))))

(defun editor-test-result (tool &rest arguments)
  "Return the result of TOOL with ARGUMENTS."
  (let ((reply (apply #'editor-test-ask tool arguments)))
    (should-not (plist-get reply :error))
    (plist-get reply :result)))

(defun editor-test-refused (tool &rest arguments)
  "Return the error of TOOL with ARGUMENTS."
  (let ((reply (apply #'editor-test-ask tool arguments)))
    (should-not (plist-get reply :result))
    (plist-get reply :error)))

(defmacro editor-test-with (&rest body)
  "Run BODY with a session that may ask, to which this Emacs is attached."
  `(let ((inhibit-message t) (anvillm-confirm nil))
     (support-reset)
     (anvillm)
     (let* ((editor-test-id (editor-test-start "asker"))
            (editor-test-conn (editor-test-agent editor-test-id)))
       (unwind-protect
           (progn
             (support-wait (anvillm-9p-op-p (gethash editor-test-id anvillm-editor--streams)))
             ;; Opened by now: what is asked of the same connection later comes later.
             (anvillm-9p-sync 30 #'anvillm-9p-read (anvillm-conn) "list")
             (with-current-buffer "*scratch*" ,@body))
         (anvillm-9p-close editor-test-conn)
         (dolist (buffer (buffer-list))
           (when (buffer-file-name buffer)
             (with-current-buffer buffer (set-buffer-modified-p nil))
             (kill-buffer buffer)))
         (anvillm-kill (mapcar #'anvillm-id (anvillm-sessions)))
         (support-wait (null anvillm-order))
         (support-reset)))))

(defmacro editor-test-visiting (name text &rest body)
  "Run BODY in a buffer that visits the file NAME of the work directory with TEXT."
  (declare (indent 2))
  `(with-current-buffer (find-file-noselect (editor-test-file ,name ,text)) ,@body))

;;;; A backend of xref

(defvar editor-test-places nil "What the backend of the test finds: (FILE . LINE)...")

(defun editor-test-items (name)
  "Return the places of NAME as items of xref."
  (mapcar (lambda (place) (xref-make name (xref-make-file-location (car place) (cdr place) 0)))
          editor-test-places))

(cl-defmethod xref-backend-identifier-at-point ((_ (eql editor-test))) (thing-at-point 'symbol t))
(cl-defmethod xref-backend-definitions ((_ (eql editor-test)) name) (editor-test-items name))
(cl-defmethod xref-backend-references ((_ (eql editor-test)) name) (editor-test-items (concat "use of " name)))

(ert-deftest editor-tells-where-things-are ()
  (editor-test-with
   (editor-test-visiting "a.txt" "one two\n  three two\n"
     (setq-local xref-backend-functions (list (lambda () 'editor-test)))
     (let ((editor-test-places (list (cons buffer-file-name 2) (cons "/root/secret" 3))))
       (should (equal (editor-test-result "definitions" :file "a.txt" :identifier "two")
                      (list :file buffer-file-name :modified nil
                            :found (list (list :file buffer-file-name :line 2 :text "two"))
                            :not_shown 1)))
       (insert "x")
       (let ((found (editor-test-result "references" :file "./a.txt" :line 2 :column 3)))
         (should (equal (plist-get found :modified) t))
         (should (equal (plist-get (car (plist-get found :found)) :text) "use of three"))))
     (setq-local xref-backend-functions (list (lambda () 'elisp)))
     (let ((found (editor-test-result "references" :file "a.txt" :identifier "two")))
       (should (equal (plist-get found :searched) "the files that are open in Emacs"))
       (should (equal (mapcar (lambda (one) (plist-get one :line)) (plist-get found :found)) '(1 2))))
     (setq-local xref-backend-functions (list (lambda () 'etags)))
     (should (string-match-p "no language server" (editor-test-refused "definitions" :file "a.txt" :identifier "x")))
     (should (string-match-p "Give an identifier" (editor-test-refused "references" :file "a.txt"))))))

(ert-deftest editor-tells-symbols-buffers-the-region-and-the-project ()
  (editor-test-with
   (make-directory (expand-file-name "sub/.git" editor-test-work) t)
   (editor-test-visiting "m.el" "(defun first ()\n  1)\n\n(defvar second 2)\n"
     (should (equal (plist-get (editor-test-result "symbols" :file "m.el") :symbols)
                    '((:name "Variables / second" :line 4 :column 0) (:name "first" :line 1 :column 0))))
     (let ((one (car (plist-get (editor-test-result "buffers") :buffers))))
       (should (equal (plist-get one :file) buffer-file-name))
       (should (equal (plist-get one :mode) "emacs-lisp-mode")))
     (let ((transient-mark-mode t))
       (goto-char (point-min))
       (push-mark (+ (point) 6) t t)
       (let ((seen (editor-test-result "selection")))
         (should (equal (plist-get seen :region) "(defun"))
         (should (equal (plist-get seen :to) '(1 6))))
       (deactivate-mark))
     (let ((project (editor-test-result "project")))
       (should (equal (file-name-as-directory (plist-get project :root)) editor-test-work))
       (should (equal (plist-get (car (plist-get project :open)) :file) buffer-file-name))))))

(ert-deftest editor-tells-diagnostics-and-what-eldoc-knows-now-or-later ()
  (editor-test-with
   (editor-test-visiting "d.txt" "wrong here\n"
     (should (string-match-p "Neither" (editor-test-refused "diagnostics" :file "d.txt")))
     (add-hook 'flymake-diagnostic-functions
               (lambda (report &rest _)
                 (funcall report (list (flymake-make-diagnostic (current-buffer) 7 11 :error "no such thing"))))
               nil t)
     (flymake-mode)
     (flymake-start)
     (support-wait (flymake-diagnostics))
     (let ((one (car (plist-get (editor-test-result "diagnostics") :diagnostics))))
       (should (equal (list (plist-get one :file) (plist-get one :line) (plist-get one :column)
                            (plist-get one :severity) (plist-get one :text))
                      (list buffer-file-name 1 6 "error" "no such thing"))))
     (setq-local eldoc-documentation-functions
                 (list (lambda (_) "at once")
                       (lambda (_) nil)
                       (lambda (tell) (run-with-timer 0.01 nil (lambda () (funcall tell "later" :thing 1))) t)
                       (lambda (tell) (funcall tell "called") t)))
     (let ((known (editor-test-result "eldoc" :file "d.txt" :line 1 :column 7)))
       (should (equal (sort (plist-get known :said) #'string<) '("at once" "called" "later")))
       (should (equal (plist-get known :column) 7))))))

(ert-deftest editor-tells-nothing-of-what-the-session-does-not-see ()
  (editor-test-with
   (let* ((outside (make-temp-file "aeo" t)) (secret (editor-test-file "secret" "key\n" outside)))
     (unwind-protect
         (progn
           (find-file-noselect secret)
           (make-symbolic-link secret (expand-file-name "link" editor-test-work) t)
           (should (equal (plist-get (editor-test-result "buffers") :buffers) nil))
           (should (string-match-p "No file" (editor-test-refused "selection")))
           (dolist (name (list secret "link" (concat "../../" secret) "~/x" "/ssh:host:/x" "/sudo::/etc/passwd"))
             (should (string-match-p "not visible\\|not open" (editor-test-refused "symbols" :file name)))
             (unless (member name '("~/x"))
               (should (string-match-p "not visible"
                                       (editor-test-refused "open_diff" :file name :content "x")))))
           (should (string-match-p "[Nn]ot a file name" (editor-test-refused "symbols" :file "a\nb")))
           (should (string-match-p "not open" (editor-test-refused "symbols" :file "new"))))
       (delete-directory outside t)))))

(ert-deftest editor-takes-arguments-of-their-types-alone-and-evaluates-nothing ()
  (editor-test-with
   (defvar editor-test-evaluated)
   (setq editor-test-evaluated nil)
   (make-directory (expand-file-name ".git" editor-test-work) t)
   (editor-test-file ".dir-locals.el" "((nil . ((eval . (setq editor-test-evaluated t)))))")
   (unwind-protect
       (progn
         (clrhash anvillm--roots)
         (should (string-match-p "[Nn]ot a file name" (editor-test-refused "symbols" :file '("a"))))
         (should (string-match-p "Unknown argument :form" (editor-test-refused "buffers" :form "(kill-emacs)")))
         (should (string-match-p "No :file" (editor-test-refused "symbols")))
         (let ((enable-local-variables nil))
           (editor-test-visiting "a.txt" "text\n"
             (should (string-match-p "must be a number" (editor-test-refused "eldoc" :file "a.txt" :line "(+ 1 2)")))
             (should (string-match-p "must be a string"
                                     (editor-test-refused "definitions" :file "a.txt" :identifier '("x"))))
             (setq-local imenu-create-index-function (lambda () (read-string "What? ")))
             (should (string-match-p "interaction" (editor-test-refused "symbols" :file "a.txt")))
             (setq-local imenu-create-index-function (lambda () (while t (accept-process-output nil 0.01))))
             (let ((anvillm-editor--patience 0.1))
               (should (string-match-p "in time" (editor-test-refused "symbols" :file "a.txt"))))
             (setq-local imenu-create-index-function
                         (lambda () (mapcar (lambda (n) (cons (make-string 600 (+ ?a (% n 26))) 1)) (number-sequence 1 800))))
             (let ((found (editor-test-result "symbols" :file "a.txt")))
               (should (equal (plist-get found :left_out) 300)))))
         (editor-test-result "project")
         (editor-test-ask "open_diff" :file ".dir-locals.el" :content (make-string 300000 ?x))
         (should-not editor-test-evaluated))
     (delete-file (expand-file-name ".dir-locals.el" editor-test-work))
     (delete-directory (expand-file-name ".git" editor-test-work)))))

(ert-deftest editor-shows-a-proposed-edit-and-gives-back-what-was-made-of-it ()
  (editor-test-with
   (editor-test-file "p.txt" "zwölf\n")
   (let (reply)
     (anvillm-9p-write-read editor-test-conn (concat editor-test-id "/editor")
                            (editor-test-json "open_diff" '(:file "p.txt" :content "dreizehn\u202e\n"))
                            (lambda (bytes _) (setq reply (anvillm-json-exact bytes))))
     (support-wait anvillm-proposals)
     (should (support-row-says editor-test-id "proposes p.txt"))
     (should (equal (anvillm-proposal-now (car anvillm-proposals)) "zwölf\n"))
     (with-current-buffer (anvillm-proposal--side "proposed" "p.txt" "dreizehn\u202e\n")
       (should (equal (aref buffer-display-table #x202e) (vconcat "<U+202E>")))
       (setq anvillm-proposal--here (car anvillm-proposals))
       (insert "über ")
       (anvillm-proposal-accept))
     (support-wait reply)
     (should (equal (plist-get (plist-get reply :result) :content) "über dreizehn\u202e\n"))
     (should (equal (plist-get (plist-get reply :result) :accepted) t))
     (should (equal (plist-get (plist-get reply :result) :edited) t))
     (should-not (support-row-says editor-test-id "proposes")))))

(ert-deftest editor-forgets-a-proposal-for-which-nobody-waits ()
  (editor-test-with
   (let ((op (anvillm-9p-write-read editor-test-conn (concat editor-test-id "/editor")
                                    (editor-test-json "open_diff" '(:file "p.txt" :content ""))
                                    #'ignore)))
     (support-wait anvillm-proposals)
     (anvillm-9p-cancel op)
     (support-wait (null anvillm-proposals)))))

(ert-deftest editor-is-attached-to-those-alone-that-may-ask ()
  (editor-test-with
   (let ((mute (editor-test-start "mute")))
     (should-not (gethash mute anvillm-editor--streams))
     (let* ((editor-test-id mute) (conn (editor-test-agent mute)))
       (unwind-protect
           (should-error (anvillm-9p-sync 30 #'anvillm-9p-write-read conn (concat mute "/editor")
                                          (editor-test-json "buffers" nil))
                         :type 'anvillm-9p-error)
         (anvillm-9p-close conn)))
     (let ((anvillm-answer-agents nil))
       (anvillm-editor--changed nil)
       (should-not (gethash editor-test-id anvillm-editor--streams))
       (anvillm-9p-sync 30 #'anvillm-9p-read (anvillm-conn) "list")
       (should-error (editor-test-ask "buffers") :type 'anvillm-9p-error)))))

(ert-deftest editor-gives-way-to-the-user-and-answers-later ()
  (let* ((tries 0) replies
         (question (make-anvillm-editor-question :id "x" :number 1 :tool "buffers")))
    (cl-letf (((symbol-function 'anvillm-editor--bounded)
               (lambda (_) (when (< (cl-incf tries) 3) (throw throw-on-input t)) '(:result (:n 1))))
              ((symbol-function 'anvillm-editor-reply) (lambda (_ reply) (push reply replies))))
      (anvillm-editor--run question 5)
      (support-wait replies)
      (should (equal (list tries replies) '(3 ((:result (:n 1))))))
      (setq tries -100 replies nil)
      (anvillm-editor--run question 0)
      (should (string-match-p "typing" (plist-get (car replies) :error))))))

;;; editor-test.el ends here
