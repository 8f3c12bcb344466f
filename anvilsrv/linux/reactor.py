"""The daemon's loop: one thread that waits for descriptors, for processes to end, for deadlines, and for commands from other threads.

A part that waits for something has a ``Reactor`` of its own, and keeps what only that thread touches without a lock. Commands and
callbacks run one after another and must not block for long. One that raises is reported to ``on_error``, and the loop goes on;
but a MemoryError ends the thread, since the state it left is unknown.

Order: commands in the order in which they were given, deadlines in the order in which they are due. Time is CLOCK_MONOTONIC, which
stands still while the machine sleeps; a deadline on the wall clock is for the caller to check again.

Threads: each Reactor owns one, which ends in ``close`` and does not keep a process alive whose end went wrong. Every method may be
called from any thread, before ``start`` too; ``close`` from any but its own. After ``close`` has begun no command and no callback is
started, and what is still given is dropped.
"""

import heapq
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable

Command = Callable[[], None]
LONGEST = 86400.0  # s of one epoll_wait(2), which takes an int of milliseconds


class Deadline:
    """A command that runs later. Made by ``Reactor.at``."""

    __slots__ = ("_command", "due", "number")

    def __init__(self, due: float, number: int, command: Command) -> None:
        self.due = due  # s, CLOCK_MONOTONIC
        self.number = number
        self._command: Command | None = command

    def __lt__(self, other: "Deadline") -> bool:
        return (self.due, self.number) < (other.due, other.number)

    def cancel(self) -> None:
        """Drop the command; no-op if it has run. On another thread than the Reactor's it may be running just now."""
        self._command = None

    def run(self) -> None:
        """Run the command unless it was cancelled. For the Reactor."""
        command, self._command = self._command, None
        if command is not None:
            command()


class Process:
    """A process held by a pidfd, so that its number cannot come to mean another one. Made by ``Reactor.process``."""

    def __init__(self, reactor: "Reactor", pid: int, fd: int | None, gone: Command) -> None:
        self.pid = pid
        self._reactor = reactor
        self._gone: Command | None = gone
        self._lock = threading.Lock()  # a number of a descriptor may be given away as well
        self._fd = fd

    def signal(self, number: int) -> bool:
        """Send a signal; False if the process has ended or is not watched any more. Raises OSError if that is not permitted."""
        with self._lock:
            if self._fd is None:
                return False
            try:
                signal.pidfd_send_signal(self._fd, number)
            except ProcessLookupError:
                return False
        return True

    def forget(self) -> None:
        """Drop the callback. On another thread than the Reactor's it may be running just now."""
        self._gone = None
        self._reactor.do(self.release)

    def ended(self) -> None:
        """Handle the end of the process. For the Reactor."""
        self.release()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def release(self) -> None:
        """Close the pidfd. For the Reactor, on its own thread or after it: a number freed by others might still be in its hands."""
        with self._lock:
            fd, self._fd = self._fd, None
        if fd is not None:
            self._reactor.unwatch(fd)
            os.close(fd)


class Reactor:
    """One loop and its thread, called ``name``. ``on_error`` gets what commands and callbacks raise, on that thread."""

    def __init__(self, name: str, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()  # guards what follows; never held while a command runs
        self._commands: list[Command] = []
        self._deadlines: list[Deadline] = []  # a heap
        self._count = 0
        self._callbacks: dict[int, Command] = {}
        self._processes: dict[int, Process] = {}  # by pidfd
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    # -- from any thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread. What was given before runs first."""
        self._thread.start()

    def close(self) -> None:
        """End and join the thread, after the command that is running; processes and descriptors watched live on. Idempotent."""
        with self._lock:
            first, self._closing = not self._closing, True
            if first:
                os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        if first:
            for process in list(self._processes.values()):
                process.release()
            with self._lock:
                self._callbacks.clear()
                self._epoll.close()
                os.close(self._wake)

    def do(self, command: Command) -> None:
        """Run ``command`` on the Reactor's thread."""
        with self._lock:
            if not self._closing:
                self._commands.append(command)
                os.eventfd_write(self._wake, 1)

    def at(self, delay: float, command: Command) -> Deadline:
        """Run ``command`` on the Reactor's thread in ``delay`` seconds."""
        with self._lock:
            self._count += 1
            deadline = Deadline(time.monotonic() + delay, self._count, command)
            if not self._closing:
                heapq.heappush(self._deadlines, deadline)
                if self._deadlines[0] is deadline:
                    os.eventfd_write(self._wake, 1)
        return deadline

    def watch(self, fd: int, callback: Command) -> None:
        """Call back while ``fd`` is readable or hung up; it stays the caller's. Raises OSError (EEXIST: watched already).

        A callback should read without blocking: where one thread unwatches and closes a descriptor and another is given the same
        number, it may be called once for nothing.
        """
        with self._lock:
            if not self._closing:
                self._epoll.register(fd, select.EPOLLIN)
                self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Stop watching; no-op if ``fd`` is not watched. Before it is closed."""
        with self._lock:
            self._processes.pop(fd, None)
            if self._callbacks.pop(fd, None) is not None:
                self._epoll.unregister(fd)

    def process(self, pid: int, gone: Command) -> Process:
        """Call ``gone`` once when the process has ended; soon, if it has already. Raises OSError (EMFILE, EINVAL)."""
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            process = Process(self, pid, None, gone)
            self.do(process.ended)
            return process
        process = Process(self, pid, fd, gone)
        try:
            self.watch(fd, process.ended)
        except OSError:
            process.release()
            raise
        with self._lock:
            closing = self._closing
            self._processes[fd] = process
        if closing:
            process.release()
        return process

    # -- the thread -----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            for fd, _ in self._epoll.poll(self._patience()):
                if fd == self._wake:
                    os.eventfd_read(fd)
                elif callback := self._callbacks.get(fd):
                    self._run(callback)
            for command in self._due():
                self._run(command)

    def _patience(self) -> float:
        """Return how many seconds to wait for events; -1 for ever."""
        with self._lock:
            if not self._deadlines:
                return -1.0
            return min(max(0.0, self._deadlines[0].due - time.monotonic()), LONGEST)

    def _due(self) -> list[Command]:
        """Return what is to run now. What these add in turn comes after the next look at the descriptors, so nothing is
        starved.
        """
        with self._lock:
            found, self._commands = self._commands, []
            now = time.monotonic()
            while self._deadlines and self._deadlines[0].due <= now:
                found.append(heapq.heappop(self._deadlines).run)
        return found

    def _run(self, command: Command) -> None:
        if self._closing:
            return
        try:
            command()
        except MemoryError:
            raise
        except Exception as error:
            try:
                self._on_error(error)
            except Exception:
                traceback.print_exc()
