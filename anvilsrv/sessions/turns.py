"""Prompts and turns of all sessions: the parts that change their rows, made together. Each part says at its top what it is for.

Threads: everything runs on the store's thread, in a job.
"""

from anvilsrv.sessions.by_hand import ByHand
from anvilsrv.sessions.course import Course
from anvilsrv.sessions.delivered import Delivered
from anvilsrv.sessions.queue import Queue
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.reported import Reported
from anvilsrv.sessions.stepper import Stepper


class Turns:
    """What the parts of the daemon share to change prompts and turns."""

    def __init__(self, registry: Registry) -> None:
        self.queue = Queue(registry)
        self.course = Course(registry)
        self.stepper = Stepper(self.queue, self.course)
        self.reported = Reported(registry, self.queue, self.course, self.stepper)
        self.delivered = Delivered(registry, self.queue, self.course, self.stepper)
        self.by_hand = ByHand(self.queue, self.course, self.stepper, self.reported)
