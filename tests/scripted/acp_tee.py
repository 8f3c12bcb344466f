"""Run a program, and keep a copy of what it is sent: ``acp_tee.py LOG PROGRAM [ARGUMENT ...]``. It ends as the program does."""

import ctypes
import os
import signal
import subprocess
import sys


def main():
    libc = ctypes.CDLL(None)
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, preexec_fn=lambda: libc.prctl(1, signal.SIGKILL))
    with open(sys.argv[1], "ab", buffering=0) as log:
        try:
            for line in sys.stdin.buffer:
                log.write(line)
                child.stdin.write(line)
                child.stdin.flush()
            child.stdin.close()
        except OSError:
            pass  # it reads no more
    status = child.wait()
    os.kill(os.getpid(), -status) if status < 0 else sys.exit(status)


if __name__ == "__main__":
    main()
