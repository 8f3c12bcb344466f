"""The gate of a session's queue: a set of holders, each with its reason. The queue goes on only while there is no holder.

What one holder does never overwrites another: a failure does not end a limit, and `go` of the user does not make an obstacle vanish.
Pure values; a gate is kept in the column ``gate`` of the session's row.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from anvilsrv.backends import reset_time


class By(StrEnum):
    """Who holds a queue, and what makes it let go."""

    USER = "user"  # `hold`; until `go`
    FAILED = "failed"  # a turn that failed; until the next prompt is written, or `go`
    SETUP = "setup"  # its work tree is set up; until the agent is ready
    START = "start"  # what the agent shows before it is ready; until it is, or the agent ends
    OBSTACLE = "obstacle"  # the agent's input is not free; until it is, or the agent ends
    BUDGET = "budget"  # reserved: a limit of the user's own is reached
    PLACE = "place"  # reserved: too many agents work already
    LIMIT = "limit"  # of the agent's service; until its time, an answer, or `go`


RESTART_KEEPS = (By.USER, By.LIMIT, By.SETUP)
OPENED_BY_GO = (By.USER, By.FAILED, By.LIMIT)
WORDS = {By.USER: "by the user", By.FAILED: "{why}; the next prompt or 'go' lets the queue go on"}


@dataclass(frozen=True)
class Holder:
    """Why, and until when (epoch s) if that is known."""

    why: str
    until: float | None = None

    def words(self, by: By) -> str:
        """Return it as a person reads it."""
        ends = f"; resumes at {reset_time.words(self.until)}" if self.until else ""
        return WORDS.get(by, "{why}").replace("{why}", self.why) + ends


@dataclass(frozen=True)
class Gate:
    """Who holds the queue."""

    holders: Mapping[By, Holder] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def open(self) -> bool:
        """True if there is no holder."""
        return not self.holders

    @property
    def until(self) -> float | None:
        """When the limit ends, if one with a known end holds it."""
        limit = self.holders.get(By.LIMIT)
        return None if limit is None else limit.until

    @property
    def why(self) -> str:
        """Every reason, in the order of ``By``; empty where it is open."""
        return "; ".join(self.holders[by].words(by) for by in By if by in self.holders)

    def held(self, by: By, why: str, until: float | None = None) -> "Gate":
        """Return the same, held by this one too."""
        return Gate(MappingProxyType({**self.holders, by: Holder(why, until)}))

    def without(self, *those: By) -> "Gate":
        """Return the same without these holders."""
        return Gate(MappingProxyType({by: holder for by, holder in self.holders.items() if by not in those}))

    def only(self, *those: By) -> "Gate":
        """Return the same with no other holders than these."""
        return self.without(*(by for by in By if by not in those))

    def kept(self) -> str:
        """Return it as it is stored in the row."""
        return json.dumps({by: [one.why, one.until] for by, one in self.holders.items()}, ensure_ascii=False)


@lru_cache(maxsize=1024)
def read(text: str) -> Gate:
    """Return what ``kept`` wrote. A row is read far more often than its gate changes."""
    return Gate(MappingProxyType({By(by): Holder(why, until) for by, (why, until) in json.loads(text).items()}))
