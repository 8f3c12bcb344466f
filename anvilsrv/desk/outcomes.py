"""What came of a turn's event, for those whom it concerns: mail is archived or answered, keys are pressed.

Threads: runs on the store's thread, in the job that applied the event.
"""

from typing import assert_never

from anvilsrv.desk.post import Post
from anvilsrv.sessions.prompts import Prompt
from anvilsrv.sessions.turns import Began, Ended, Outcomes, Press
from anvilsrv.store.effects import Interrupt
from anvilsrv.store.store import Tx


def settle(tx: Tx, session: str, post: Post, outcomes: Outcomes) -> Prompt | None:
    """Let ``outcomes`` happen and act on each. Returns the prompt to hand over in the reply to the agent's hook, if there is one."""
    handed = None
    for outcome in outcomes:
        match outcome:
            case Began(prompt, handed=given):
                post.began(tx, prompt)
                handed = prompt if given else handed
            case Ended():
                post.ended(tx, outcome)
            case Press(recalled):
                tx.after(Interrupt(session, recalled))
            case _:
                assert_never(outcome)
    return handed
