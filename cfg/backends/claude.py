"""What Claude Code does otherwise than its YAML can say: a private configuration, questions, names of work in the background, and usage
counted once."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anvilsrv.activity.diffs import between
from anvilsrv.backends.backend import Launch, Place, Reply, Report
from anvilsrv.backends.lacks import Lack, Rights, mentions, programs, servers
from anvilsrv.backends.private import Private
from anvilsrv.strict_json import dumps
from sandbox.configuration import Configuration

SHARED = (
    "CLAUDE.md",
    "rules",
    "output-styles",
    "keybindings.json",
    "agents",
    "commands",
    "skills",
)
LOGINS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
)
SHOWN = ("command", "file_path", "notebook_path", "url", "query", "pattern", "path", "description")
ALWAYS = "always"
PLANNED = "Go on with this plan?"
PLAN_FILE = "attachment.planFilePath"  # where a line of the transcript names it
IMAGE = re.compile(r"\.(?:png|jpe?g|gif|webp)[\"']?[ \t]{0,9}\Z", re.IGNORECASE)
CHOICES = (
    "theme",
    "editorMode",
    "verbose",
    "autoCompactEnabled",
    "diffTool",
    "todoFeatureEnabled",
)  # of the state file
MEMORIES = ("CLAUDE.md", "CLAUDE.local.md", ".claude/CLAUDE.md")  # of a project
PLUGINS = (
    "claude/plugin-files"  # of the session's own: what plugins keep (data) is written there, the rest is the user's
)
ACCEPTED = (  # of a project: the sandbox shows what may be seen, and no more
    "hasTrustDialogAccepted", "hasCompletedProjectOnboarding", "hasClaudeMdExternalIncludesApproved",
    "hasClaudeMdExternalIncludesWarningShown",
)  # fmt: skip
IN_A_NAME = re.compile("[^A-Za-z0-9]")  # of a directory, as that of its conversations is called
TAG = re.compile("<[^<>]*>")
TASK = re.compile(r"<task-id>([^<\n]{1,200})</task-id>")
HEAD = 4096  # characters of a notification in which the name of its task stands
CLIPPED = re.compile(r"\u2026 \[\+\d{1,9} chars\]\Z")  # the end of words that a Stop tells of in part
PASTED = re.compile(r"\n{0,2}<pasted_content id=(\"[0-9a-f]{4}\")>\n")  # before a paste that is long, or of many lines
TICKS = {  # what stands for a prompt that it has at hand: lines of that, which may be behind others
    "<<autonomous-loop>>": ["# Autonomous loop tick"],
    "<<autonomous-loop-dynamic>>": ["# Autonomous loop tick (dynamic pacing)"],
    "<<loop.md>>": ["# /loop tick \u2014 loop.md tasks", "# Autonomous loop tick"],
    "<<loop.md-dynamic>>": [
        "# /loop tick \u2014 loop.md tasks (dynamic pacing)", "# /loop tick \u2014 loop.md absent (dynamic pacing)",
    ],
}  # fmt: skip
EDITS = 100  # in one question
PROMPTS = ("submit", "taken", "queued", "joined")  # kinds of report whose text is that of a prompt
REASON = 500  # characters of why a prompt was refused


class Claude(Private):
    """See ``claude.yaml``."""

    links = {f"claude/{name}": f"{{HOME}}/.claude/{name}" for name in SHARED}

    def seeds(self, place: Place) -> dict[str, Any]:
        """Return Claude's own state file, and the user's settings."""
        shown = place.configuration
        settings = shown.visible(read(Path(place.home) / ".claude" / "settings.json"), "mcpServers")
        state = configuration(
            read(Path(place.home) / ".claude.json"), place.cwd, shown, place.env.get("ANTHROPIC_API_KEY", "")
        )
        return {"claude/.claude.json": state, "claude/settings.json": settings}

    def lacks(self, place: Place, rights: Rights) -> Iterator[Lack]:
        """Yield MCP servers, files that CLAUDE.md includes, programs of hooks, and a setting that overrules
        ``permissions``.
        """
        home, shown, own = place.home, place.configuration, Path(place.home) / ".claude"
        config, settings = read(Path(home) / ".claude.json"), read(own / "settings.json")
        yield from servers(config.get("mcpServers"), shown, "~/.claude.json")
        yield from servers(local(config, place.cwd).get("mcpServers"), shown, f"~/.claude.json for {place.cwd}")
        for top, name in ((own, "CLAUDE.md"), *((Path(place.cwd), one) for one in MEMORIES)):
            yield from mentions(top, name, home, rights)
        for market, path in marketplaces(own / "plugins"):
            if "r" not in rights(path):
                yield Lack(f"marketplace {market} of plugins", f"filesystem: {{rox: [{dumps(path)}]}}")
        for plugin in installed(own / "plugins"):
            hooks = read(plugin / "hooks" / "hooks.json").get("hooks")
            yield from programs(commands(hooks), home, rights, f"the plugin in {plugin}")
        if shown.settings:
            yield from programs(commands(settings.get("hooks")), home, rights, "~/.claude/settings.json")
            chosen = settings.get("permissions")
            asks = isinstance(chosen, Mapping) and chosen.get("disableBypassPermissionsMode") == "disable"
            if asks and place.permissions == "bypass":
                yield Lack(
                    "permissions bypass, which disableBypassPermissionsMode in ~/.claude/settings.json rules out",
                    "Claude Code asks for each permission; a role with 'permissions: ask' says the same",
                )

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch with the user's plugins: their files by links, and a directory for what they keep, made
        before hooks run.
        """
        made = super().launch(place, resume)
        there = Path(place.home) / ".claude" / "plugins"
        names = [one for one in sorted(os.listdir(there)) if one != "data"] if there.is_dir() else []
        links: dict[str, str | dict[str, str]] = {f"{PLUGINS}/{one}": {"link": str(there / one)} for one in names}
        return replace(made, data={**made.data, **links})

    def kept(self, path: str, before: str, after: str) -> str:
        """Return where a file is in a fork: conversations are kept by the directory in which they are held, and what
        commands print while they run is not kept.
        """
        if path.startswith("tmp/"):
            return ""
        top, name = "claude/projects/", IN_A_NAME.sub("-", before)
        return (
            f"{top}{IN_A_NAME.sub('-', after)}/{rest}" if (rest := path.removeprefix(f"{top}{name}/")) != path else path
        )

    def available(self) -> str:
        """Return ``ok`` only with a way to log in: without one the agent would wait at a screen that is not seen."""
        return self.logged_in(LOGINS, "set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN")

    def prompt_text(self, text: str, context: str) -> str:
        """Return what is pasted: Claude cuts a paste before each " /", and takes a piece that is the path of an image
        out of the text.
        """
        first, *others = super().prompt_text(text, context).split(" /")
        return first + "".join(("\n/" if IMAGE.search(one) else " /") + one for one in others)

    def report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """Return the report; a question gets the choices that its payload holds."""
        found = super().report(hook, payload)
        if found is None:
            return None
        unwrap(found)
        if payload.get("tool_name"):
            found.fields["tool"] = use(payload)
        if found.fields.get("wake"):
            found.fields.update(task(found))
        for work in found.fields.get("pending") or ():
            if work.get("words") in TICKS:
                work["forms"] = TICKS[work["words"]]
            if clipped := CLIPPED.search(work.get("words", "")):
                work.update(words=work["words"][: clipped.start()], clipped=True)
        if found.kind != "ask":
            return found
        if payload.get("tool_name") == "AskUserQuestion":
            return Report("ask", {**found.fields, **question(questions(payload))}, payload, found.rule)
        choices = ["allow", "deny"] + ([ALWAYS] if payload.get("permission_suggestions") else [])
        given = payload.get("tool_input")
        asked = {"question": permission(payload), "choices": choices, "detail": dumps(given), "diff": change(payload)}
        if payload.get("tool_name") == "ExitPlanMode":
            asked |= planned(given)
        return Report("ask", {**found.fields, **asked}, payload, found.rule)

    def reply(self, kind: str, text: str, report: Report | None) -> Reply | None:
        """Return the reply: questions are answered by allowing the tool with its answers put in."""
        payload = report.payload if report is not None else {}
        if kind == "ask" and payload.get("tool_name") == "AskUserQuestion":
            asked = questions(payload)
            given = {**payload["tool_input"], "answers": answers(asked, text)}
            return decision({"behavior": "allow", "updatedInput": given})
        if kind == "ask" and text == ALWAYS:
            return decision({"behavior": "allow", "updatedPermissions": payload.get("permission_suggestions")})
        return super().reply(kind, text, report)

    def transcript_reports(self, line: Mapping[str, Any]) -> list[Report]:
        """Return the reports of a line. Every line of a message repeats the message's usage: its id says which are one.
        What a hook has refused is told in words.
        """
        found = super().transcript_reports(line)
        for report in found:
            unwrap(report)
            if report.kind == "usage":
                told = line.get("message")
                report.fields["usage_id"] = str(told.get("id") if isinstance(told, Mapping) else line.get("uuid"))
            elif report.kind == "noticed":
                report.fields.update(task(report))
            elif report.kind == "refused":
                report.fields.update(refused(str(report.fields.get("reason", ""))))
        return found


class ClaudeAcp(Claude):
    """See ``claude-acp.yaml``: the same private configuration; the rest is the protocol's."""

    prompt_text = Private.prompt_text
    report = Private.report
    reply = Private.reply
    transcript_reports = Private.transcript_reports


def unwrap(report: Report) -> None:
    """Take off the tags with which 2.1.332 surrounds a pasted prompt."""
    text = report.fields.get("text")
    begun = PASTED.match(text) if report.kind in PROMPTS and isinstance(text, str) else None
    if begun is not None and (body := text[begun.end() :].rstrip("\n")).endswith(
        end := f"</pasted_content id={begun[1]}>"
    ):
        report.fields["text"] = body.removesuffix(end).removesuffix("\n")


def task(report: Report) -> dict[str, str]:
    """Return which work a notification says is done."""
    named = TASK.search(str(report.fields.get("text", ""))[:HEAD])
    return {"task": named[1]} if named else {}


def refused(words: str) -> dict[str, str]:
    """Return why a prompt was refused, in a line, and which one it was: by a hook of the user's, or ``/compact`` with
    nothing to compact.
    """
    if words.startswith("<"):
        return {"reason": TAG.sub("", words)[:REASON], "text": "/compact"}
    told, mark, text = words.partition("\n\nOriginal prompt: ")
    why = " ".join(told.partition(":\n")[2].split())[:REASON]
    return {"reason": f"refused by the hook {why}" if why else "refused by a hook", **({"text": text} if mark else {})}


def read(path: Path) -> dict[str, Any]:
    """Return a JSON file of the user's; empty if there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def configuration(config: Mapping[str, Any], cwd: str, shown: Configuration, key: str) -> dict[str, Any]:
    """Return Claude's own state file: what the user has chosen in theirs, MCP servers that a layer names, and nothing
    left to ask at the start.

    Servers of the project's local scope go before those of all projects, as with Claude itself.
    """
    named = {**shown.servers(config.get("mcpServers")), **shown.servers(local(config, cwd).get("mcpServers"))}
    chosen = {key: config[key] for key in CHOICES if key in config} if shown.settings else {}
    return {
        **chosen,
        "mcpServers": named,
        "projects": {cwd: dict.fromkeys(ACCEPTED, True)},
        "hasCompletedOnboarding": True,
        "customApiKeyResponses": {"approved": [key[-20:]] if key else [], "rejected": []},
        "autoUpdates": False,
    }


def local(config: Mapping[str, Any], cwd: str) -> Mapping[str, Any]:
    """Return what the user's state file keeps for a project."""
    projects = config.get("projects")
    found = projects.get(cwd) if isinstance(projects, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def marketplaces(plugins: Path) -> Iterator[tuple[str, str]]:
    """Yield where the marketplaces are of which the user has plugins: each plugin is looked up there at every start."""
    for name, row in read(plugins / "known_marketplaces.json").items():
        path = row.get("installLocation") if isinstance(row, Mapping) else None
        if isinstance(path, str) and path.startswith("/"):
            yield name, os.path.normpath(path)


def installed(plugins: Path) -> list[Path]:
    """Return where plugins of the user's are installed."""
    found = read(plugins / "installed_plugins.json").get("plugins")
    rows = [row for one in found.values() if isinstance(one, list) for row in one] if isinstance(found, Mapping) else []
    paths = [row.get("installPath") for row in rows if isinstance(row, Mapping)]
    return [Path(path) for path in paths if isinstance(path, str)]


def commands(hooks: object) -> Iterator[str]:
    """Yield the command lines of hooks, as settings and plugins have them; what is not well formed is passed over."""
    for groups in hooks.values() if isinstance(hooks, Mapping) else ():
        for group in groups if isinstance(groups, list) else ():
            for one in (group.get("hooks") if isinstance(group, Mapping) else None) or ():
                if isinstance(one, Mapping) and isinstance(one.get("command"), str):
                    yield one["command"]


def questions(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the questions of an AskUserQuestion, those that are well formed."""
    given = payload.get("tool_input")
    found = given.get("questions") if isinstance(given, Mapping) else None
    return [one for one in found or [] if isinstance(one, dict) and isinstance(one.get("question"), str)]


def labels(asked: Mapping[str, Any]) -> list[str]:
    """Return the answers that a question offers."""
    return [str(one["label"]) for one in asked.get("options") or [] if isinstance(one, dict) and one.get("label")]


def question(asked: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the fields of a report: several questions, or one with several answers, have no simple choice."""
    if len(asked) == 1 and not asked[0].get("multiSelect"):
        return {"question": described(asked[0], "-"), "choices": labels(asked[0]), "free": True}
    text = "\n\n".join(described(one, "") for one in asked)
    how = (
        "answer with a line for each question, in their order"
        if len(asked) > 1
        else "answer with one or more, commas between"
    )
    parts = [
        {"text": one["question"], "choices": labels(one), "multiple": bool(one.get("multiSelect"))} for one in asked
    ]
    return {"question": f"{text}\n\n({how})", "choices": [], "free": True, "questions": parts}


def described(asked: Mapping[str, Any], mark: str) -> str:
    """Return a question and what it offers, as text; each choice after ``mark``, or else its number."""
    lines = [str(asked["question"])]
    offered = [one for one in asked.get("options") or [] if isinstance(one, dict) and one.get("label")]
    for at, one in enumerate(offered, 1):
        lines.append(f"{mark or at} {one.get('label')}: {one.get('description', '')}".rstrip(": "))
    return "\n".join(lines)


def use(payload: Mapping[str, Any]) -> str:
    """Return which use of a tool a payload is about: a permission's hook is told no id of it. What a person answers is
    put into the input.
    """
    name, given = payload.get("tool_name"), payload.get("tool_input")
    return str(name) if name in ("AskUserQuestion", "ExitPlanMode") else f"{name} {dumps(given)}"


def answers(asked: list[dict[str, Any]], text: str) -> dict[str, str]:
    """Return what was answered, by question: one answer takes the whole text, several a line each."""
    if len(asked) == 1:
        return {asked[0]["question"]: text}
    lines = [line for line in text.splitlines() if line.strip()] or [text]
    return {one["question"]: lines[min(at, len(lines) - 1)].strip() for at, one in enumerate(asked)}


def permission(payload: Mapping[str, Any]) -> str:
    """Return what a tool wants to do, in a line."""
    given = payload.get("tool_input")
    known = [str(given[key]) for key in SHOWN if key in given] if isinstance(given, Mapping) else []
    return f"{payload.get('tool_name')}: {known[0]}" if known else str(payload.get("tool_name"))


def planned(given: object) -> dict[str, Any]:
    """Return the fields of a question about a plan: it is in the question, or in a file that the transcript names."""
    asked, plan = {"what": "plan", "question": PLANNED, "detail": "", "diff": ""}, None
    if isinstance(given, Mapping):
        plan = given.get("plan")
    if isinstance(plan, str) and plan.strip():
        return {**asked, "question": f"{PLANNED}\n\n{plan}"}
    return {**asked, "plan_in": PLAN_FILE}


def change(payload: Mapping[str, Any]) -> str:
    """Return the diff of what is to be edited or written, as far as the question says it: the file is not read."""
    given = payload.get("tool_input")
    if not isinstance(given, Mapping):
        return ""
    if payload.get("tool_name") == "Write":
        return between("", str(given.get("content") or ""))
    edits = given.get("edits") if payload.get("tool_name") == "MultiEdit" else [given]
    texts = [
        (str(one.get("old_string") or ""), str(one.get("new_string") or ""))
        for one in (edits if isinstance(edits, list) else [])[:EDITS]
        if isinstance(one, Mapping) and ("old_string" in one or "new_string" in one)
    ]
    return "".join(between(old, new, whole=False) for old, new in texts)


def decision(what: Mapping[str, Any]) -> Reply:
    """Return the reply to a PermissionRequest."""
    made = {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": what}}
    return Reply(dumps(made) + "\n")
