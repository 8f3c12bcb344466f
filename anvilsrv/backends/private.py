"""Backends with a private configuration: a directory of the session's own, in which the user's files appear by links.

An agent that may write its user's real configuration can leave hooks, plugins or servers there that run later, outside. So it gets
one of its own. Files of the user's that are of use inside are linked and granted read-only by the sandbox layer; of settings it has a
copy, made afresh at each start, without secrets (``sandbox.configuration``). Of the login that its sessions
share it has a copy (``agents.logins``), apart from the user's own, so that neither logs the other out.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from anvilsrv.backends.backend import Peculiarity
from anvilsrv.backends.place import Launch, Place
from anvilsrv.backends.vault import Vault


class Private(Peculiarity):
    """Seeds ``{DATA_DIR}`` before each start. Names and targets may hold ``{HOME}``."""

    links: dict[str, str] = {}  # name in the data directory -> what of the user's it shows, if that exists

    def seeds(self, place: Place) -> dict[str, Any]:
        """Return files to write: relative name -> text, or a value that is written as JSON."""
        return {}

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch with the links and files of the private configuration."""
        made = super().launch(place, resume)
        data: dict[str, str | dict[str, str]] = {}
        for name, target in self.links.items():
            path = target.replace("{HOME}", place.home)
            if os.path.exists(path):
                data[name] = {"link": path}
        for name, content in self.seeds(place).items():
            data[name] = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
        return replace(made, data={**made.data, **data})

    def reads(self) -> list[str]:
        """Return what a program from npm needs beside it: what it is installed with."""
        program = self.backend.program_path()
        above = (
            [one for one in Path(os.path.realpath(program)).parents if one.name == "node_modules"] if program else []
        )
        return [*super().reads(), *(str(one) for one in above[-1:])]

    def logged_in(self, variables: tuple[str, ...], how: str) -> str:
        """Return ``ok``, or why it cannot run: one of the variables or a login is needed."""
        why = super().available()
        if why != "ok" or any(os.environ.get(name) for name in variables):
            return why
        login = self.backend.login
        if login is None:
            return f"not logged in: {how} where the daemon is started"
        if Vault().has(self.backend.name, login.files):
            return "ok"
        return f"not logged in: run 'anvilsrv login {self.backend.name}' once, or {how}"
