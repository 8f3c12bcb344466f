"""`anvilsrv doctor`: what it says of a machine where all is well, and of each thing that is not."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.programs import doctor
from anvilsrv.programs.doctor_layers import configuration
from anvilsrv.programs.finding import NOTE
from sandbox import tiers
from tests.conftest import ROOT, Daemon, Home


def examine(home: Home, **more: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Return its status, and its verdicts and words by subject."""
    home.env |= more
    done = home.anvilsrv("doctor")
    assert done.stderr == ""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in done.stdout.splitlines():
        verdict, subject, words = line.split("\t")
        assert verdict in ("ok", "note", "do"), line
        found.setdefault(subject, []).append((verdict, words))
    return done.returncode, found


def test_where_nothing_that_is_needed_is_missing_the_status_is_0(daemon: Daemon) -> None:
    status, found = examine(daemon.home)
    wrong = [(subject, words) for subject, lines in found.items() for verdict, words in lines if verdict == "do"]
    assert (status, wrong) == (0, [])
    subjects = "anvilsrv PATH home limits namespace daemon state beads configuration tmux git pty kernel sandbox hooks plan9port Emacs"
    assert set(found) >= {*subjects.split(), "terminal", "backend shell", "backend claude"}
    assert daemon.process is not None
    assert found["daemon"] == [("ok", f"{daemon.process.pid} serves {daemon.home.socket}, 0 session(s)")]


def test_it_changes_nothing(home: Home) -> None:
    home.namespace.rmdir()
    _, found = examine(home)
    assert found["daemon"][0][0] == "note"
    assert found["namespace"] == [("ok", f"{home.namespace} (anvilsrv makes it)")]
    assert not home.namespace.exists()
    assert list(home.home.rglob("*")) == []


def test_a_namespace_open_to_others_and_a_role_that_is_no_yaml_are_named(home: Home) -> None:
    home.namespace.chmod(0o755)
    role = home.config / "roles/broken.yaml"
    role.parent.mkdir(parents=True)
    role.write_text("filesystem: [\n")
    (role.parent / "default.yaml.new").write_text("")
    status, found = examine(home)
    assert status == 1
    assert found["namespace"] == [
        (
            "do",
            f"{home.namespace} is open to others: its mode is 0755, not 0700: "
            f"chmod 700 {home.namespace}, or set NAMESPACE",
        )
    ]
    said = found["configuration"]
    assert said[0][0] == "do"
    assert str(role) in said[0][1]
    assert ("note", f"compare {role.parent}/default.yaml.new with yours, then remove it") in said


def test_what_an_upgrade_laid_beside_an_edited_file_is_named_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, compared = tmp_path / "agents/anvillm.json.new", tmp_path / "compared.new"
    beside.parent.mkdir()
    beside.touch()
    (tmp_path / "installed.json").write_text(json.dumps({"beside": {str(beside): "sum", str(compared): "sum"}}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    notes = [line.words for line in configuration() if line.verdict == NOTE]
    assert notes == [f"compare {beside} with yours, then remove it"]


def test_a_namespace_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", "/nowhere/ns")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = [tuple(line) for line in doctor.namespace()]
    assert found == [("do", "namespace", "cannot make /nowhere/ns: / cannot be written; set NAMESPACE")]


def test_a_namespace_below_a_file_and_a_look_that_fails_are_findings_like_others(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.top / "file").touch()
    status, found = examine(home, NAMESPACE=f"{home.top}/file/ns")
    assert (status, found["namespace"][0][0], found["daemon"][0][0]) == (1, "do", "note")

    def look() -> Iterator[doctor.Line]:
        raise PermissionError(13, "Permission denied", "/x")
        yield

    assert [line.verdict for line in doctor.findings(look)] == ["do"]


def test_a_socket_that_a_crash_left_is_told(daemon: Daemon) -> None:
    daemon.kill()
    status, found = examine(daemon.home)
    assert status == 0
    assert found["daemon"] == [
        ("note", "does not run: anvilsrv start (the socket there is left over, and does no harm)")
    ]


@pytest.mark.parametrize(("tier", "abi"), [("none", 0), ("weak", 7), ("ll9", 9)])
def test_a_machine_without_a_full_sandbox_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tier: str, abi: int
) -> None:
    report = tiers.Report(tier, [f"{tier} because"], ["do this"], abi)
    monkeypatch.setattr(tiers, "probe", lambda: report)
    lines = list(doctor.sandbox())
    assert (lines[1].verdict, lines[1].words.split(":")[0]) == ("ok" if tier == "ll9" else "do", tier)
    assert "NONE" not in lines[1].words and "WEAK" not in lines[1].words
    assert any("do this" in line.words for line in lines)
    assert lines[0].verdict == ("ok" if abi else "note")


def test_a_machine_without_tmux_and_the_wanted_terminal_needs_them(home: Home, tmp_path: Path) -> None:
    for one in ("sh", "env", "true"):
        (tmp_path / one).symlink_to(f"/usr/bin/{one}")
    status, found = examine(home, PATH=str(tmp_path), ANVILLM_TERMINAL="nosuch -e")
    assert status == 1
    assert found["tmux"][0][0] == "do"
    assert found["terminal"] == [("do", "ANVILLM_TERMINAL: no program 'nosuch'")]
    assert found["plan9port"][0][0] == found["Emacs"][0][0] == "note"


@pytest.mark.parametrize(("said", "verdict"), [
    ("tmux 2.9a", "do"), ("tmux 3.2", "ok"), ("tmux 3.7c", "ok"), ("tmux next-3.8", "ok"), ("tmux 3.9", "note"), ("tmux master", "ok"),
    ("tmux openbsd-7.6", "ok"),
])  # fmt: skip
def test_the_age_of_tmux_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, verdict: str) -> None:
    fake = tmp_path / "tmux"
    fake.write_text(f"#!/bin/sh\necho {said}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [line.verdict for line in doctor.tmux()] == [verdict]


def test_a_machine_that_gives_no_pseudo_terminals_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> tuple[int, int]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "openpty", refused)
    [last] = doctor.pty()
    assert last.verdict == "do"
    assert "Permission denied (/dev/ptmx has mode" in last.words


def wrapped(home: Home, script: str) -> Path:
    """A backend whose program is a script in ~/bin that executes another one; where that is."""
    real = home.home / "tools/bin/real"
    for path, text in (
        (real, "#!/bin/sh\necho wrapped 1.2\n"),
        (home.home / "bin/wrapped", script.replace("REAL", str(real))),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (home.config / "backends").mkdir(parents=True)
    (home.config / "backends/wrapped.yaml").write_text(
        "backend:\n  command: ['{PROGRAM}']\n  requires: {program: wrapped, version: [--version]}\n"
        "  hooks: {Ready: {report: ready}, Submit: {report: submit}, Stop: {report: stop}}\nfilesystem: {rwx: ['{CWD}']}\n"
    )
    home.env["PATH"] = f"{home.home}/bin:{home.env['PATH']}"
    return real


def test_what_a_wrapper_runs_and_nobody_grants_is_named_with_the_line_that_grants_it(home: Home) -> None:
    real = wrapped(home, '#!/bin/sh\nexec REAL "$@"\n')
    _, found = examine(home)
    [(verdict, words)] = found["backend wrapped"]
    assert (verdict, f"{home.home}/bin/wrapped runs {real}, which no layer grants" in words) == ("note", True)
    assert "fails inside the sandbox, with status 126" in words or "status 127" in words
    line = words.split("put '")[1].split("' into")[0]
    assert line == f"filesystem: {{rox: [{home.home}/tools]}}"
    (home.config / "global.yaml").write_text((ROOT / "cfg/global.yaml").read_text() + f"\n{line}\n")
    _, found = examine(home)
    assert found["backend wrapped"] == [("ok", "wrapped: wrapped 1.2")]


@pytest.mark.slow(5)
def test_what_a_person_has_set_up_and_no_layer_grants_is_named_with_the_line_that_grants_it(home: Home) -> None:
    program = home.home / "bin/claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 9.9\n")
    program.chmod(0o755)
    (home.home / ".claude.json").write_text(json.dumps({"mcpServers": {"other": {"command": "x"}}}))
    _, found = examine(home, PATH=f"{program.parent}:{home.env['PATH']}", ANTHROPIC_API_KEY="x")
    line = 'configuration: {mcp: ["other"]}'
    assert found["backend claude"][0] == ("note", f"MCP server other of ~/.claude.json is not granted: {line}")
    home.config.mkdir(parents=True, exist_ok=True)
    (home.config / "global.yaml").write_text(f"{line}\n")
    _, found = examine(home)
    assert [words for _, words in found["backend claude"] if "not granted" in words] == []


def test_the_last_words_of_an_agent_that_does_not_run_inside_are_told(home: Home) -> None:
    wrapped(home, "#!/bin/sh\necho first >&2; echo out of cheese >&2; exit 3\n")
    _, found = examine(home)
    assert found["backend wrapped"] == [("note", "fails inside the sandbox, with status 3: out of cheese")]
