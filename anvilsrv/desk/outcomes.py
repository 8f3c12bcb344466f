"""What came of a turn's event, for those whom it concerns: mail is archived or answered, keys are pressed.

Threads: runs on the store's thread, in the job that applied the event.
"""

from typing import assert_never

from anvilsrv.desk.post import Post
from anvilsrv.sessions.happened import Began, Ended, Handed, Outcomes, Press, Tidy
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.store.effects import Clear, Interrupt
from anvilsrv.store.store import Tx


def settle(tx: Tx, session: str, post: Post, outcomes: Outcomes) -> Prompt | None:
    """Let ``outcomes`` happen and act on each. Returns the prompt to hand over in the reply to the agent's hook, if there is one."""
    handed = None
    for outcome in outcomes:
        match outcome:
            case Began(prompt):
                post.began(tx, prompt)
            case Handed(prompt):
                handed = prompt
            case Ended():
                post.ended(tx, outcome)
            case Press():
                tx.after(Interrupt(session))
            case Tidy():
                tx.after(Clear(session))
            case _:
                assert_never(outcome)
    return handed
