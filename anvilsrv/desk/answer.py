"""Questions: what an agent asks and waits for, and the answer that is written to ``answer``.

Threads: ``answer`` runs on a worker, methods with a Tx in a job; ``asked`` and ``unasked``, the effects, on the store's thread, which
alone changes ``_asking``.
"""

from collections.abc import Mapping
from typing import Any

from anvilsrv.display import one_line, shown
from anvilsrv.errors import Invalid, NotPermitted
from anvilsrv.sessions.registry import Registry
from anvilsrv.store.effects import Asked, Unasked, Waiting
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.strict_json import dumps, whole


class Questions:
    """The open questions of all sessions; one a session."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._asking: dict[str, Asked] = {}

    def ask(self, tx: Tx, asked: Asked, fields: Mapping[str, Any]) -> None:
        """The agent asks something; ``fields`` as its hook reported them: question, choices, detail, free."""
        ask = {
            "id": asked.number, "text": shown(plain(fields.get("question") or "")),
            "choices": [one_line(plain(c)) for c in fields.get("choices") or []],
            "detail": shown(plain(fields.get("detail") or "")), "free": bool(fields.get("free")),
        }  # fmt: skip
        tx.after(asked)  # before the event: who answers at once must find the asker waiting
        self._registry.set(tx, asked.session, ask=dumps(ask))
        self._registry.stream.emit(tx, "ask", asked.session, ask=ask)

    def answer(self, name: str, choice: str) -> None:
        """``answer`` was written: a choice, by its name or its number from 1. Raises Conflict when nothing is asked, Invalid."""
        view = self._registry.get(name)
        question = self._asking.get(view.id)
        if not view.ask or question is None or view.ask["id"] != question.number:
            raise NotPermitted(f"session '{view.id}' asks nothing")
        choices = view.ask["choices"]
        chosen = choice if view.ask["free"] and choice not in choices else pick(choice, choices)
        reply = question.reply(chosen)
        self._store.call(lambda tx: self._answered(tx, view.id, question.number, reply))

    def _answered(self, tx: Tx, session: str, number: str, reply: Mapping[str, Any]) -> None:
        ask = self._registry.row(tx, session).ask
        if not ask or ask["id"] != number:
            raise NotPermitted(f"session '{session}' asks nothing")
        self._clear(tx, session, reply)

    def drop(self, tx: Tx, session: str) -> None:
        """The question is gone: the agent went on, or ended. No-op if there is none."""
        row = self._registry.maybe(tx, session)
        if row is not None and row.ask:
            self._clear(tx, session, {})

    def abandon(self, session: str, by: Waiting) -> None:
        """The hook program that waited for an answer is gone (any thread)."""
        self._store.post(lambda tx: self._abandoned(tx, session, by), need=Need.HAPPENED)

    def _abandoned(self, tx: Tx, session: str, by: Waiting) -> None:
        question = self._asking.get(session)
        if question is not None and question.by is by:
            self.drop(tx, session)

    def _clear(self, tx: Tx, session: str, reply: Mapping[str, Any]) -> None:
        self._registry.set(tx, session, ask=None)
        self._registry.stream.emit(tx, "ask", session, ask=None)
        tx.after(Unasked(session, reply))

    # -- effects -------------------------------------------------------------------------------------------------------

    def asked(self, effect: Asked) -> None:
        """The question is on disk: its asker waits."""
        self._asking[effect.session] = effect

    def unasked(self, effect: Unasked) -> None:
        """The question is over: its asker gets the reply."""
        question = self._asking.pop(effect.session, None)
        if question is not None:
            question.by.answer(effect.reply)


def pick(choice: str, choices: list[str]) -> str:
    """The choice that was meant. With no choices given, any text is one. Raises Invalid."""
    if not choices or choice in choices:
        return choice
    if choice.isdecimal() and 1 <= int(choice) <= len(choices):
        return choices[int(choice) - 1]
    near = [one for one in choices if one.casefold().startswith(choice.casefold())] if choice else []
    if len(near) == 1:
        return near[0]
    raise Invalid(f"invalid choice '{choice[:80]}': {', '.join(choices)}")


def plain(text: str) -> str:
    """Text from an agent as it can be kept: without the half surrogates that JSON lets through."""
    return whole(text)
