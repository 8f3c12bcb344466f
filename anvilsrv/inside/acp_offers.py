"""What can be chosen of the agent, and its own commands: told to the daemon whenever it is something else; and what was chosen, which
is set before the next prompt.

Threads: that of the front.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anvilsrv.inside.acp_client import Client
from anvilsrv.inside.acp_options import Option
from anvilsrv.inside.acp_settings import Settings
from anvilsrv.inside.acp_told import Told


class Offers:
    """``chosen``: by the user, as far as it is known here; ``choosing``: the agent is being told; ``commands``: those of the agent."""

    def __init__(
        self, settings: Settings, told: Told, report: Callable[..., None], alarm: Callable[[str], None]
    ) -> None:
        self.commands: Mapping[str, str] = {}
        self.chosen = dict(settings.chosen)
        self.choosing = False
        self._needed = settings.needed
        self._told = told
        self._report = report
        self._alarm = alarm
        self._last: tuple[dict[str, Option], dict[str, str]] = ({}, {})  # what was told

    def learn(self, commands: Mapping[str, str]) -> None:
        """Learn the commands that the agent names."""
        self.commands = commands

    def tell(self, client: Client) -> None:
        """Tell what can be chosen, if that is something else than before: of the mode in which the role has it ask, nothing else."""
        options, commands = dict(client.options), dict(self.commands)
        if (options, commands) == self._last:
            return
        before, self._last = self._last[0], (options, commands)
        for name, one in options.items():
            if name in before and before[name].value != one.value:
                self._told.chose(name, one.value)
        rows: list[list[Any]] = [
            [one.name, one.value, [one.value] if one.name in self._needed else list(one.choices)]
            for one in options.values()
        ]
        self._report("offers", options=rows, commands=[list(one) for one in commands.items()])

    def choose(self, values: Mapping[str, str], client: Client | None, then: Callable[[], None]) -> None:
        """Set the chosen options; report what cannot be set. Without a session they are set when there is one."""
        self.chosen |= values
        if client is None:
            return
        self.choosing = True
        pinned = self._needed & values.keys()
        for name in pinned:
            self._alarm(f"{name}: the role says in which mode it runs")

        def chose() -> None:
            self.choosing = False
            then()

        client.set([one for one in values.items() if one[0] not in pinned], chose)
