;;; dbus-test.el --- Notifications over a real bus  -*- lexical-binding: t; -*-

;;; Code:

(require 'support)
(require 'dbus)
(require 'anvillm-live)

(defvar dbus-test-got nil "What the desktop was told.")

(ert-deftest notification-reaches-the-desktop-and-does-not-wait-for-it ()
  (dbus-register-method :session "org.freedesktop.Notifications" "/org/freedesktop/Notifications"
                        "org.freedesktop.Notifications" "Notify"
                        (lambda (&rest args) (setq dbus-test-got args) '(:uint32 1)))
  (let ((end (+ (float-time) 10)))
    (support-quick (anvillm-notify "worker asks" "rm <x> & y?" "id"))
    (should-not dbus-test-got)
    (while (and (not dbus-test-got) (< (float-time) end))
      ;; In batch Emacs nobody else reads what came over the bus.
      (let ((event (read-event nil nil 0.05))) (when (eq (car-safe event) 'dbus-event) (dbus-handle-event event))))
    (should (equal "worker asks" (nth 3 dbus-test-got)))
    (should (equal "rm &lt;x&gt; &amp; y?" (nth 4 dbus-test-got)))))

(provide 'dbus-test)
;;; dbus-test.el ends here
