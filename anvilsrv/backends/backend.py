"""One kind of agent, as its file describes it: how it is started, fed, understood and ended.

Everything here is a value: nothing knows a session. What a file cannot say is said by a small Python class that it names
(:class:`Peculiarity`); each of its methods starts from what the file says.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anvilsrv import paths
from anvilsrv.backends import lacks, reset_time, templates
from anvilsrv.backends.flags import VALUE, Flag, Option, chosen
from anvilsrv.backends.follow import Follow, Said, Tool
from anvilsrv.backends.lacks import Lack, Rights
from anvilsrv.backends.place import Launch as Launch  # files of users import these from here
from anvilsrv.backends.place import Place as Place
from anvilsrv.backends.replies import Reply as Reply
from anvilsrv.backends.replies import reply
from anvilsrv.backends.rules import Conditions, Rule, matches_any, moment, spelled_out
from anvilsrv.backends.rules import Report as Report
from anvilsrv.backends.shown import Dialog, Title, found_lines
from anvilsrv.backends.typed import Input
from anvilsrv.backends.vault import Login
from anvilsrv.display import sanitize
from anvilsrv.strict_json import dumps
from anvilsrv.tmux.screen import Screen
from sandbox import outside

NAMES = (
    "PYTHON", "ANVILSRV", "SHARE", "HOOK", "MCP", "MCP_COMMAND", "MCP_ARGS", "PROGRAM", "BACKEND_DIR", "ID", "CWD", "HOME",
    "CONVERSATION", "SESSION_DIR", "DATA_DIR", "DATA", "PERMISSION", "PERMISSIONS", "OPTIONS", "CHOSEN", "COMMAND", "FORKED",
)  # fmt: skip
VERSION_WAIT = 10.0  # s


@dataclass(frozen=True)
class Stop:
    """The gentle end: keys, then ``grace`` seconds."""

    keys: tuple[str, ...]
    grace: float


class Peculiarity:
    """What a backend does otherwise than its file can say. Subclasses override; ``self.backend.declared_*`` is what the file says."""

    def __init__(self, backend: "Backend") -> None:
        self.backend = backend

    def report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """Return what a hook means."""
        return self.backend.declared_report(hook, payload)

    def transcript_reports(self, line: Mapping[str, Any]) -> list[Report]:
        """Return what a line of the transcript means."""
        return self.backend.declared_transcript_reports(line)

    def told(self, by: Follow, line: Mapping[str, Any]) -> list[Said]:
        """Return the objects of activity in a line of a followed file, or in a hook's payload."""
        return self.backend.declared_told(by, line)

    def reply(self, kind: str, text: str, report: Report | None) -> Reply | None:
        """Return how to say something back through a hook."""
        return self.backend.declared_reply(kind, text, report)

    def prompt_text(self, text: str, context: str) -> str:
        """Return what is pasted."""
        return self.backend.declared_prompt_text(text, context)

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return what is run."""
        return self.backend.declared_launch(place, resume)

    def kept(self, path: str, before: str, after: str) -> str:
        """Return where a file of ``{DATA}`` is in a fork that works in ``after``, and not in ``before``; empty: it has
        none.
        """
        return path

    def reads(self) -> list[str]:
        """Return paths that the agent must be able to read and execute, beside those of its sandbox layer."""
        return self.backend.declared_reads()

    def available(self) -> str:
        """Return ``ok``, or why it cannot run here."""
        return self.backend.declared_available()

    def lacks(self, place: Place, rights: Rights) -> Iterator[Lack]:
        """Return what of the user's own set-up is not granted there; ``rights`` are the letters that hold for a path."""
        return iter(())


@dataclass(frozen=True)
class Backend:
    """A backend. ``layer`` is the sandbox layer of the same file; regular expressions are compiled; keys are tmux's names."""

    name: str
    path: Path
    title: str
    aliases: tuple[str, ...]
    command: tuple[str, ...]
    resume: tuple[str, ...] | None
    conversation: str
    evidence: str
    env: Mapping[str, str]
    files: Mapping[str, Any]
    data: Mapping[str, Any]
    permissions: Mapping[str, tuple[str, ...]]
    program: str | None
    install: str
    version_args: tuple[str, ...]
    ready_timeout: float
    ready_screen: re.Pattern[str] | None
    dialogs: tuple[Dialog, ...]
    titles: Title
    hooks: Mapping[str, tuple[Rule, ...]]
    payload: Mapping[str, str]
    at: str | None
    ignore: Conditions
    transcript: tuple[Rule, ...]
    beside: str
    replies: Mapping[str, Any]
    input: Input
    context: str
    mail: str
    slash: tuple[str, ...]
    interrupt: tuple[str, ...]
    stop: Stop
    limits: tuple[re.Pattern[str], ...]
    layer: Mapping[str, Any]
    login: Login | None = None
    no_login: str = ""  # what is said where there is none that sessions share
    fork: tuple[str, ...] | None = None  # with a conversation of its own that begins as another's
    doing: str = ""  # what it does in a turn, where it waits for no model
    unheard: str = ""  # what may keep hooks from reporting
    tools: Mapping[str, Tool] = field(default_factory=dict)
    follow: tuple[Follow, ...] = ()
    options: Mapping[str, Flag] = field(default_factory=dict)
    peculiarity: type[Peculiarity] = Peculiarity

    def report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """Return what it means that ``hook`` fired; None: nothing."""
        return self.peculiarity(self).report(hook, spelled_out(payload))

    def transcript_reports(self, line: Mapping[str, Any]) -> list[Report]:
        """Return what one line of the agent's transcript means."""
        return self.peculiarity(self).transcript_reports(line)

    def told(self, by: Follow, line: Mapping[str, Any]) -> list[Said]:
        """Return the objects of activity in a line of a followed file, or in a hook's payload."""
        return self.peculiarity(self).told(by, line)

    def reply(self, kind: str, text: str = "", report: Report | None = None) -> Reply | None:
        """Return how to hand over the next prompt (``stop``) or an answer (``ask``) through the hook of ``report``;
        None: not at all.
        """
        return self.peculiarity(self).reply(kind, text, report)

    def prompt_text(self, text: str, context: str = "") -> str:
        """Return what is pasted for a prompt: sanitised, the context before it, made safe against what the agent would
        take for a command.
        """
        return self.peculiarity(self).prompt_text(text, context)

    def launch(self, place: Place, *, resume: bool) -> Launch:
        """Return what to run. Raises Invalid."""
        return self.peculiarity(self).launch(place, resume)

    def kept(self, path: str, before: str, after: str) -> str:
        """Return where a file of ``{DATA}`` is in a fork that works in ``after``, and not in ``before``; empty: it has
        none.
        """
        return self.peculiarity(self).kept(path, before, after)

    def reads(self) -> list[str]:
        """Return paths that the agent must be able to read and execute, beside those of its sandbox layer."""
        return self.peculiarity(self).reads()

    def available(self) -> str:
        """Return ``ok``, or why it cannot run here."""
        return self.peculiarity(self).available()

    def lacks(self, place: Place, rights: Rights) -> str:
        """Return what of the user's own set-up is not granted there, as lines of ``sandbox``."""
        return lacks.lines(self.peculiarity(self).lacks(place, rights))

    def unanswered(self, report: Report) -> Reply | None:
        """Return the reply to a question's hook if it is not answered; None: no reply, so the agent asks on its own
        screen.
        """
        template = report.rule.otherwise if report.rule is not None else None
        return None if template is None else reply(templates.fill_all(template, report.payload, ""))

    @property
    def takes_command(self) -> bool:
        """Whether the user says what is run."""
        return "{COMMAND}" in json.dumps([self.command, self.files])

    @property
    def by_message(self) -> bool:
        """Whether a program of ours in the pane fetches prompts, and nothing is typed."""
        return self.evidence == "message"

    def declared_options(self, now: Mapping[str, str]) -> list[Option]:
        """Return what can be chosen by words of its command, and what was chosen."""
        return [Option(name, now.get(name, ""), flag.choices) for name, flag in self.options.items()]

    def can(self, kind: str) -> bool:
        """Return whether ``reply`` knows a way to say this."""
        return kind in self.replies or (
            kind == "ask" and any(r.choices or r.free for rules in self.hooks.values() for r in rules)
        )

    def reports(self, kind: str) -> bool:
        """Return whether some hook says this."""
        return any(rule.report == kind for rules in self.hooks.values() for rule in rules)

    def until(self, text: str, now: float) -> float | None:
        """Return when the limit that ``text`` names is over (epoch s)."""
        return reset_time.until(self.limits, text, now)

    def free(self, screen: Screen) -> bool:
        """Return True if the agent's input line is empty."""
        if self.input.empty is None:
            return True
        line = self.input_line(screen)
        return line is not None and self.input.empty.search(line) is not None

    def busy(self, screen: Screen) -> bool:
        """Return whether the agent keeps what was entered until it can take it."""
        return self.input.busy is not None and self.input.busy.search("\n".join(screen.lines)) is not None

    def input_line(self, screen: Screen) -> str | None:
        """Return the line (or lines) of the input; None if none is shown."""
        return screen.line if self.input.find is None else found_lines(self.input.find, "\n".join(screen.lines))

    def asks(self, at: str) -> list[Dialog]:
        """Return the dialogs that come up then."""
        return [one for one in self.dialogs if one.at == at]

    def version(self) -> str:
        """Return the first line of what the program says of its version; empty if it says nothing."""
        path = outside.which(self.program) if self.program else None
        if path is None or not self.version_args:
            return ""
        try:
            done = subprocess.run(
                [path, *self.version_args], capture_output=True, text=True, timeout=VERSION_WAIT, stdin=subprocess.DEVNULL
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return (done.stdout.strip().splitlines() or [""])[0]

    def program_path(self) -> str | None:
        """Return the absolute path of the agent's program, if it has one and it is here."""
        return shutil.which(self.program) if self.program else None

    # -- what the file says ------------------------------------------------------------------------------------------

    def declared_report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        if matches_any(payload, self.ignore):
            return None
        rule = next((one for one in self.hooks.get(hook, ()) if one.applies(payload)), None)
        return None if rule is None else self._understood(rule, payload)

    def declared_transcript_reports(self, line: Mapping[str, Any]) -> list[Report]:
        found = [self._understood(rule, line) for rule in self.transcript if rule.applies(line)]
        if found and self.at is not None:
            when = moment(templates.dig(line, self.at))
            for one in found:
                one.fields.update(when)
        return found

    def declared_told(self, by: Follow, line: Mapping[str, Any]) -> list[Said]:
        return [said for row in by.rows(line) for said in row.read(line, self.tools)]

    def _understood(self, rule: Rule, payload: Mapping[str, Any]) -> Report:
        fields = rule.read(payload, self.payload)
        if rule.report == "fail":
            fields["until"] = self.until(f"{fields.get('reason', '')}\n{fields.get('detail', '')}", time.time())
        return Report(rule.report, fields, payload, rule)

    def declared_reply(self, kind: str, text: str, report: Report | None) -> Reply | None:
        template: Any = self.replies.get(kind)
        if kind == "ask" and report is not None and report.rule is not None:
            template = report.rule.choices.get(text, report.rule.free)
        if template is None:
            return None
        return reply(templates.fill_all(template, report.payload if report else {}, text))

    def declared_prompt_text(self, text: str, context: str) -> str:
        text = sanitize(text)
        return text if self.is_command(text) else self.input.safe(self._with_context(text, context))

    def refusal(self, text: str, context: str = "") -> str:
        """Return why a prompt cannot be typed, as a sentence that says what to do instead; empty if it can."""
        text = sanitize(text)
        return "" if self.is_command(text) else self.input.refusal(self._with_context(text, context))

    def _with_context(self, text: str, context: str) -> str:
        context = sanitize(context).rstrip("\n")
        if not context:
            return text
        return comment(context) + "\n" + text if self.context == "comment" else f"{context}\n\n{text}"

    def is_command(self, text: str) -> bool:
        """Return whether this is one of the agent's own commands that may pass as it is."""
        words, line = text.split(), text.strip()
        if not words or "\n" in line:
            return False
        return words[0] in self.slash or any(one.is_command(line) for one in self.options.values())

    def own_commands(self) -> list[str]:
        """Return their names without the slash."""
        choose = [one.command.split()[0] for one in self.options.values() if one.command]
        return [word.lstrip("/") for word in (*self.slash, *choose)]

    def choosing(self, name: str, value: str) -> str:
        """Return the agent's own command that chooses an option while it runs; empty: only its next start does."""
        option = self.options.get(name)
        text = option.command.replace(VALUE, value) if option is not None else ""
        return text if text and self.is_command(text) else ""

    def declared_launch(self, place: Place, resume: bool) -> Launch:
        values = self.values(place)
        again = resume and self.resume is not None and place.conversation is not None
        begins = self.fork if self.fork is not None and place.forked else self.command
        argv = templates.expand(self.resume if again else begins, values)
        files = {name: _content(templates.expand(text, values)) for name, text in self.files.items()}
        data = {name: _content_or_link(templates.expand(text, values)) for name, text in self.data.items()}
        return Launch(argv, templates.expand(self.env, values), files, data)

    def values(self, place: Place) -> dict[str, templates.Value]:
        """Return what the names in capitals stand for."""
        python = os.path.realpath(sys.executable)
        hook = [python, "-I", "-S", os.path.join(place.code, "inside", "hook.py")]
        mcp = place.mcp or [sys.executable, "-I", "-m", "anvilsrv.inside.mcpserver"]
        return {
            "PYTHON": python, "ANVILSRV": place.code, "SHARE": str(paths.share()),
            "HOOK": hook, "MCP": mcp, "MCP_COMMAND": mcp[0], "MCP_ARGS": mcp[1:],
            "PROGRAM": self.program_path() or self.program or "", "BACKEND_DIR": str(self.path.parent),
            "ID": place.id, "CWD": place.cwd, "HOME": place.home, "CONVERSATION": place.conversation or "",
            "SESSION_DIR": place.session_dir, "DATA_DIR": place.data_dir, "DATA": place.data_dir,
            "PERMISSION": place.permissions, "PERMISSIONS": self.permissions.get(place.permissions, ()),
            "OPTIONS": chosen(self.options, place.chosen), "CHOSEN": dumps(dict(place.chosen)),
            "COMMAND": place.command, "FORKED": place.forked or "",
        }  # fmt: skip

    def declared_reads(self) -> list[str]:
        program = self.program_path()
        own = [program, os.path.realpath(program)] if program else []
        return list(dict.fromkeys(own))

    def declared_available(self) -> str:
        if self.program is None or self.program_path() is not None:
            return "ok"
        return f"no program '{self.program}'" + (f": {self.install}" if self.install else "")


def comment(text: str) -> str:
    """Return ``text`` as lines that a shell does not run."""
    return "\n".join(f"# {line}".rstrip() for line in text.split("\n"))


def _content_or_link(value: Any) -> str | dict[str, str]:
    return dict(value) if isinstance(value, Mapping) and set(value) == {"link"} else _content(value)


def _content(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False) + "\n"
