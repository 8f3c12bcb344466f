"""The Emacs package: ERT in batch Emacs, against a fake peer, a tree that freezes, and the real daemon; and its form as a package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Daemon, Home
from tests.scripted import install, script

HERE = Path(__file__).resolve().parent
PACKAGE = sorted((ROOT / "emacs").glob("*.el"))
MAIN = ROOT / "emacs/anvillm.el"
pytestmark = pytest.mark.timeout(450)  # s; above that of each Emacs


def emacs(home: Home, *argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run batch Emacs without the user's settings, which sees the package and the tests.

    Like an interactive one it gets an error for what it writes to a daemon that was killed, not a signal.
    """
    return home.run(
        "emacs", "--quick", "--batch", "-L", str(ROOT / "emacs"), "-L", str(HERE), *argv,
        env=home.env | {"PYTHON": sys.executable, "WORK": str(home.work)} | env, timeout=400, restore_signals=False,
    )  # fmt: skip


def ert(home: Home, name: str, **env: str) -> None:
    """Run the ERT tests of a file; what they say is shown when one fails."""
    done = emacs(home, "-l", str(HERE / f"{name}.el"), "-f", "ert-run-tests-batch-and-exit", **env)
    words = done.stdout + done.stderr
    assert done.returncode == 0, words[-20000:]
    assert re.search(r"^Ran [1-9]\d* tests.* 0 unexpected", words, re.MULTILINE), words[-20000:]


def test_the_client_holds_against_a_server_that_misbehaves(home: Home) -> None:
    ert(home, "client-test")


@pytest.mark.slow(5)
def test_the_list_is_live_and_never_waits(home: Home) -> None:
    ert(home, "list-test")


@pytest.mark.slow(6)
def test_a_frozen_daemon_holds_up_no_command_at_all(home: Home) -> None:
    ert(home, "frozen-test")


@pytest.mark.slow(8)
def test_buffers_belong_to_sessions_and_drafts_are_kept(home: Home) -> None:
    ert(home, "buffer-test")


def test_questions_are_answered_in_a_buffer(home: Home) -> None:
    ert(home, "ask-test")


@pytest.mark.slow(6)
def test_a_conversation_shows_what_the_agent_does(home: Home) -> None:
    ert(home, "talk-test")


def libraries(*names: str, newer: tuple[str, ...] = ()) -> list[str]:
    """Return options by which Emacs sees these packages, and those that newer ones need. Skips where one of the first
    is not installed.
    """
    tops = [Path(top) for top in os.environ.get("ANVILLM_TEST_ELPA", "").split(":") if top]
    tops += [Path("/usr/share/emacs/site-lisp/elpa"), Path("/usr/share/emacs/site-lisp/elpa-src")]
    found = {
        name: next((d for top in tops for d in sorted(top.glob(f"{name}-[0-9]*"))), None) for name in names + newer
    }
    if None in [found[name] for name in names]:
        pytest.skip(f"no {names[0]}: apt install elpa-{names[0]}")
    return [word for one in found.values() if one for word in ("-L", str(one))]


def test_the_keys_are_there_in_the_normal_state_of_evil(home: Home) -> None:
    paths = libraries("evil", "goto-chg")
    done = emacs(home, *paths, "-l", str(HERE / "evil-test.el"), "-f", "ert-run-tests-batch-and-exit")
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


def test_a_review_folds_in_the_sections_of_magit(home: Home) -> None:
    paths = libraries("magit-section", "dash", newer=("llama", "compat", "cond-let"))
    done = emacs(home, *paths, "-l", str(HERE / "sections-test.el"), "-f", "ert-run-tests-batch-and-exit")
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


def test_sessions_are_in_consult_and_org(home: Home) -> None:
    ert(home, "extras-test")


def test_conversations_are_followed_and_notifications_shown(home: Home) -> None:
    ert(home, "log-test")


@pytest.mark.slow(25)
def test_every_command_works_with_the_real_daemon(home: Home, stopped_daemon: Daemon) -> None:
    model = {"flag": ["--model", "{VALUE}"]}
    mode = {"flag": ["--mode", "{VALUE}"], "choices": ["default", "plan"]}
    install(home.config, options={"model": model, "mode": mode})
    script(home.work, turns=[{"match": "ask", "ask": "May I?"}])
    stopped_daemon.start()
    ert(home, "daemon-test")


@pytest.mark.slow(8)
def test_agents_that_may_ask_what_emacs_knows_are_answered(home: Home, stopped_daemon: Daemon) -> None:
    grants = "xref, imenu, diagnostics, buffers, selection, eldoc, project, open_diff"
    (home.config / "roles").mkdir(parents=True)
    (home.config / "roles/asker.yaml").write_text(f"filesystem: {{rw: ['{{CWD}}']}}\nemacs: [{grants}]\n")
    (home.config / "roles/mute.yaml").write_text("filesystem: {rw: ['{CWD}']}\n")
    stopped_daemon.start()
    ert(home, "editor-test", STATE=str(home.state))


def test_a_notification_goes_to_the_desktop_over_dbus(home: Home) -> None:
    if not shutil.which("dbus-run-session"):
        pytest.skip("no dbus-run-session: apt install dbus")
    done = home.run(
        "dbus-run-session", "--", "emacs", "--quick", "--batch", "-L", str(ROOT / "emacs"), "-L", str(HERE),
        "-l", str(HERE / "dbus-test.el"),
        "-f", "ert-run-tests-batch-and-exit",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_compiles_without_a_warning(home: Home) -> None:
    for source in PACKAGE:
        (home.work / source.name).write_text(source.read_text())
    done = home.run(
        "emacs", "--quick", "--batch", "-L", ".", "--eval", "(setq byte-compile-error-on-warn t)",
        "-f", "batch-byte-compile", *(source.name for source in PACKAGE),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    loaded = home.run("emacs", "--quick", "--batch", "-L", ".", *(w for s in PACKAGE for w in ("-l", s.stem)))
    assert (loaded.returncode, loaded.stderr) == (0, "")


def test_the_core_loads_no_optional_part(home: Home) -> None:
    done = emacs(
        home, "-l", "anvillm", "--eval", "(princ (list (featurep 'transient) (featurep 'term) (featurep 'dbus)))"
    )
    assert done.stdout == "(nil nil nil)", done.stderr


def test_it_installs_as_a_package_and_every_command_is_there(home: Home) -> None:
    source = home.top / "anvillm"
    source.mkdir()
    for one in PACKAGE:
        (source / one.name).write_text(one.read_text())
    installed = home.run(
        "emacs", "--quick", "--batch", "--eval",
        f"(progn (require 'package) (package-initialize) (package-install-file \"{source}\"))",
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    # What package.el writes itself is its own affair.
    assert not re.search(r"anvillm-?[a-z0-9]*(?<!-pkg)\.el:.*Warning", installed.stderr), installed.stderr
    names = "anvillm anvillm-conversation anvillm-prompt-region anvillm-menu anvillm-notify-mode anvillm-user-inbox anvillm-beads"
    done = home.run(
        "emacs", "--quick", "--batch", "--eval",
        f"(progn (package-initialize) (dolist (c '({names})) (unless (commandp c) (princ c)))"
        " (princ (keymapp 'anvillm-command-map)) (princ (featurep 'anvillm-core)))",
    )  # fmt: skip
    assert done.stdout == "tnil", done.stdout + done.stderr


@pytest.mark.slow(13)
def test_checkdoc_has_nothing_to_say(home: Home) -> None:
    for source in PACKAGE:
        done = emacs(home, str(source), "--eval", "(checkdoc-file buffer-file-name)")
        assert (done.returncode, done.stderr) == (0, ""), source.name


def test_package_lint_has_nothing_to_say(home: Home) -> None:
    paths = libraries("package-lint", newer=("let-alist",))
    # Dependencies are none, so no archive is asked.
    done = emacs(
        home, *paths, "--eval", f"(progn (require 'package-lint) (setq package-lint-main-file \"{MAIN}\"))",
        "-f", "package-lint-batch-and-exit", *map(str, PACKAGE),
    )  # fmt: skip
    assert "Cannot open load file" not in done.stderr, done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r":\d+:\d+: ", line)]
    # Debian's package-lint is older than Emacs 28, and so thinks that it is not released.
    assert [line for line in said if "uninstallable in all released" not in line] == []


def test_the_manual_names_every_command(home: Home) -> None:
    text = (ROOT / "emacs/anvillm.texi").read_text()
    for keymap in ("anvillm-mode-map", "anvillm-command-map"):
        feature = "anvillm" if keymap == "anvillm-mode-map" else "anvillm-command"
        done = emacs(
            home, "-l", feature, "--eval",
            f"(dolist (row (anvillm-bindings-of {keymap})) (when (string-prefix-p \"anvillm\" (symbol-name (car row)))"
            " (princ (format \"%s\\n\" (car row)))))",
        )  # fmt: skip
        missing = [name for name in done.stdout.split() if name not in text]
        assert not missing, f"{keymap}: {missing}"


def test_the_manual_is_texinfo_without_a_warning(home: Home) -> None:
    done = home.run("makeinfo", "--no-split", "-o", str(home.top / "anvillm.info"), str(ROOT / "emacs/anvillm.texi"))
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.getsize(home.top / "anvillm.info") > 5000
