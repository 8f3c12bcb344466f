"""``anvilsrv login`` runs where no agent can write, and keeps one file of what is left there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Home, terminal

TOOL = """#!{python}
import json, os, pathlib, sys
top = pathlib.Path(os.environ["CLAUDE_CONFIG_DIR"])
pathlib.Path(os.environ["HOME"], "seen").write_text(json.dumps([os.getcwd(), sorted(os.listdir(top)), sys.argv[1:]]))
what = pathlib.Path(os.environ["HOME"], "what").read_text()
if what == "link":
    (top / ".credentials.json").symlink_to(os.environ["HOME"] + "/secret")
elif what:
    (top / "settings.json").write_text("left behind")
    (top / ".credentials.json").write_text(what)
sys.exit(3 if not what else 0)
"""
GOOD = '{"claudeAiOauth": {"accessToken": "a"}}'


@pytest.fixture
def tool(home: Home) -> Path:
    made = home.home / "tools" / "claude"
    made.parent.mkdir()
    made.write_text(TOOL.replace("{python}", sys.executable))
    made.chmod(0o755)
    return made


def login(
    home: Home, tool: Path, *words: str, what: str = GOOD, stdin: int | None = None
) -> subprocess.CompletedProcess[str]:
    (home.home / "what").write_text(what)
    env = {**home.env, "PATH": f"{tool.parent}:{home.env['PATH']}"}
    argv = [sys.executable, "-P", "-m", "anvilsrv.cli", "login", *words]
    with terminal() as theirs:
        return subprocess.run(
            argv,
            env=env,
            cwd=home.work,
            capture_output=True,
            text=True,
            stdin=theirs if stdin is None else stdin,
        )


def kept(home: Home) -> list[str]:
    top = home.home / ".local/state/anvillm/logins"
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())


def test_a_login_is_made_in_a_fresh_hidden_directory_and_its_file_kept(home: Home, tool: Path) -> None:
    done = login(home, tool, "claude", "--console", "x")
    assert (done.returncode, done.stderr) == (0, "")
    assert kept(home) == ["claude/.credentials.json", "claude/.lock"]
    cwd, there, words = json.loads((home.home / "seen").read_text())
    assert cwd.startswith(os.path.realpath(home.home / ".local/state/anvillm/logins"))
    assert (there, words) == ([], ["auth", "login", "--console", "x"])
    assert not Path(cwd).exists()


@pytest.mark.parametrize(("what", "says"), [
    ("", r"no login: it left no claude/.credentials.json (exit status 3)"), ("link", "claude/.credentials.json is a link"),
    ("[]", "not an object"),
])  # fmt: skip
def test_what_is_no_login_is_refused_and_the_one_before_stays(home: Home, tool: Path, what: str, says: str) -> None:
    login(home, tool, "claude")
    (home.home / "secret").write_text(GOOD.replace('"a"', '"b"'))
    done = login(home, tool, "claude", what=what)
    assert done.returncode == 1 and says in done.stderr
    path = home.home / ".local/state/anvillm/logins/claude/.credentials.json"
    assert json.loads(path.read_text()) == json.loads(GOOD)


def test_without_a_terminal_a_login_that_asks_says_what_to_do_and_one_that_is_given_its_input_reads_it(
    home: Home, tool: Path
) -> None:
    for words in (("claude",), ("claude", "--console")):
        done = login(home, tool, *words, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            "run 'anvilsrv login claude' in one, or copy an existing login: anvilsrv login --from FILE claude"
            in done.stderr
        )
    assert not (home.home / "seen").exists()
    reading, writing = os.pipe()
    try:
        assert login(home, tool, "claude", stdin=reading).returncode == 1
        assert login(home, tool, "claude", "--with-api-key", stdin=reading).returncode == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_a_program_that_an_agent_may_have_put_there_is_not_run(home: Home, tool: Path) -> None:
    written = home.home / ".local/state/anvillm/written"
    written.parent.mkdir(parents=True)
    written.write_text(f"{os.path.realpath(tool.parent)}\n")
    done = login(home, tool, "claude")
    assert done.returncode == 1 and not (home.home / "seen").exists()


def test_where_the_program_is_missing_it_says_how_to_get_it(home: Home, tool: Path) -> None:
    tool.unlink()
    home.env["PATH"] = str(tool.parent)
    done = login(home, tool, "claude")
    assert done.returncode == 1 and "no program 'claude': npm install -g @anthropic-ai/claude-code" in done.stderr


def test_a_login_that_is_there_is_taken_and_a_link_to_one_is_not(home: Home, tool: Path) -> None:
    (home.home / "mine").write_text(GOOD)
    (home.home / "link").symlink_to("mine")
    assert login(home, tool, "claude", "--from", str(home.home / "link")).returncode == 1
    assert login(home, tool, "claude", "--from", str(home.home / "mine")).returncode == 0


def test_every_shipped_backend_has_a_login_or_a_sentence_that_says_what_to_do(home: Home, tool: Path) -> None:
    said = login(home, tool, "qwen")
    assert said.returncode == 1
    assert said.stderr.startswith("anvilsrv: invalid backend: 'qwen' has no login that sessions share: ")
    assert "OPENAI_API_KEY" in said.stderr
    for path in sorted((ROOT / "cfg" / "backends").glob("*.yaml")):
        assert yaml.safe_load(path.read_text())["backend"].get("login"), path


KIRO = f"""#!{sys.executable}
import os, pathlib, sys
sys.path.insert(0, {str(ROOT / "tests/real_agents")!r})
import kiro_login
what = pathlib.Path(os.environ["HOME"], "what").read_text()
if what == "registered":
    kiro_login.opened().execute("INSERT INTO auth_kv VALUES ('kirocli:odic:device-registration', '{{}}')").connection.commit()
elif what == "link":
    (pathlib.Path(os.environ["XDG_DATA_HOME"]) / "kiro-cli").mkdir(parents=True)
    (pathlib.Path(os.environ["XDG_DATA_HOME"]) / "kiro-cli/data.sqlite3").symlink_to("/etc/hostname")
else:
    kiro_login.run(["login"])
"""


@pytest.fixture
def kiro(home: Home) -> Path:
    made = home.home / "tools" / "kiro-cli"
    made.parent.mkdir()
    made.write_text(KIRO)
    made.chmod(0o755)
    return made


def test_of_a_login_in_a_database_what_it_holds_is_kept_as_a_file(home: Home, kiro: Path) -> None:
    done = login(home, kiro, "kiro")
    assert (done.returncode, done.stderr) == (0, "")
    assert kept(home) == ["kiro-cli/.lock", "kiro-cli/kiro.json"]
    found = json.loads((home.home / ".local/state/anvillm/logins/kiro-cli/kiro.json").read_text())
    assert found["rows"]["kirocli:odic:token"]["refresh_token"] == "refresh 1"
    assert len(found["schema"]) == 5 and len(found["rest"]["migrations"]) == 4
    assert not (home.home / ".local/share/kiro-cli").exists() and not (home.home / ".kiro").exists()


@pytest.mark.parametrize("what", ["registered", "link"])
def test_a_database_in_which_nobody_is_logged_in_is_no_login(home: Home, kiro: Path, what: str) -> None:
    done = login(home, kiro, "kiro", what=what)
    assert done.returncode == 1 and "no login: it left no login/kiro.json" in done.stderr
    assert kept(home) == []


def test_a_database_with_more_in_it_is_not_taken(home: Home, kiro: Path) -> None:
    done = login(home, kiro, "kiro", "--from", str(home.home / "data.sqlite3"))
    assert done.returncode == 1 and "log in without --from" in done.stderr
