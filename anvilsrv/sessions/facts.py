"""Which facts of the machine of prompts hold, for one prompt and one event. Pure."""

import re
import unicodedata
from functools import lru_cache

from anvilsrv.sessions.happened import Happened, Look, Seen
from anvilsrv.sessions.machine import PRESSES, Event, Fact, may_again
from anvilsrv.sessions.prompt import Prompt

LOOKED_AT = frozenset(
    {Fact.OURS, Fact.ONLY_OURS, Fact.MIXED, Fact.FREE, Fact.UNREAD, Fact.PROVED, Fact.AGAIN, Fact.UNPASTED}
)  # what can only be found out outside of a job

HIDDEN = re.compile(  # characters that are not drawn (Default_Ignorable_Code_Point): an agent may take them out of what is pasted
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
HALF = 10  # characters by which half of a text is known


@lru_cache(maxsize=4)  # the same two texts, which may be long, are compared for several facts
def squeezed(text: str) -> str:
    """Return ``text`` without what every agent may change as it takes it: tabs, line ends and blanks, and what is not
    drawn; characters are composed (NFC).
    """
    solid = "".join(text.split())
    return solid if solid.isascii() else unicodedata.normalize("NFC", HIDDEN.sub("", solid))


def same_text(reported: str, ours: str) -> bool:
    """Return whether a report is of exactly our text."""
    return squeezed(reported) == squeezed(ours)


def contains(reported: str, ours: str) -> bool:
    """Return whether the report contains our text, or half of a longer one: keys may be added at one end and taken at
    the other.
    """
    text, words = squeezed(reported), squeezed(ours)
    half = len(words) // 2
    return bool(words) and (words in text or (half >= HALF and (words[:half] in text or words[half:] in text)))


def of_prompt(prompt: Prompt, event: Event, happened: Happened) -> frozenset[Fact]:
    """Return those that need no look."""
    pasted, sent = prompt.pasted_at, prompt.sent_at
    holds = {
        Fact.EARLY: pasted is not None and happened.at < pasted,
        Fact.LATER: sent is not None and happened.at >= sent,
        Fact.CONTAINS: happened.text is not None and contains(happened.text, prompt.words),
        Fact.QUIT: event == Event.DIED and happened.status == 0,
        Fact.MESSAGE: prompt.link is not None,
        Fact.FEW: prompt.presses < PRESSES,
        Fact.COMMAND: prompt.is_command,
        Fact.NEVER: prompt.pasted_at is None,
    }
    return frozenset(fact for fact, true in holds.items() if true)


def of_look(prompt: Prompt, event: Event, seen: Seen) -> frozenset[Fact]:
    """Return those that were found out by looking. Where nothing can be seen, a prompt that is not taken may still be
    there.
    """
    blind = seen.look == Look.UNKNOWN and event == Event.NOT_TAKEN
    free = seen.look == Look.FREE or event == Event.DIED  # of the next process: it is looked at before it is typed
    holds = {
        Fact.OURS: seen.look == Look.OURS or blind,
        Fact.ONLY_OURS: seen.look in (Look.OURS, Look.ONLY_OURS),
        Fact.MIXED: seen.look in (Look.MIXED, Look.AMONG),
        Fact.FREE: seen.look == Look.FREE,
        Fact.UNREAD: seen.look == Look.UNREAD,
        Fact.PROVED: seen.proof is not None,
        Fact.AGAIN: may_again(seen.trusted, free, seen.silent, prompt.pastes if event != Event.WITHDRAW else 0),
        Fact.UNPASTED: seen.unpasted,
    }
    return frozenset(fact for fact, true in holds.items() if true)
