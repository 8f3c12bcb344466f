"""``anvilsrv login``: a backend's own login, run in a fresh directory that no agent can write, and its file kept for the sessions.

The directory lies in the state, which every sandbox hides; the program comes from a directory of PATH that no agent could write, and
starts in that fresh directory. A session's agent gets the file, and nothing that stands around it (``agents.logins``). Of a login
that is kept in a database, which is as fresh, the file says what is in it (``inside.database_login``).
"""

import os
import sqlite3
import stat
import subprocess
import tempfile
from pathlib import Path

from anvilsrv import paths
from anvilsrv.backends import templates
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.place import Place
from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.backends.vault import Login, Vault, loaded
from anvilsrv.errors import Invalid, NotFound, Unavailable
from anvilsrv.inside import database_login
from anvilsrv.linux import beneath
from anvilsrv.strict_json import dumps
from sandbox import outside


def login(name: str, words: list[str], source: Path | None) -> str:
    """Log in to the backend of that name, or take an existing file ``source``; a sentence. Raises AnvilError."""
    backend = Backends(*default_dirs()).get(name)
    how = backend.login
    if how is None:
        why = f": {backend.no_login}" if backend.no_login else ""
        raise Invalid(f"invalid backend: '{backend.name}' has no login that sessions share{why}")
    vault = Vault()
    if source is not None and how.database:
        raise Invalid(
            f"invalid login: {backend.name} keeps its login in a database with other data: log in without --from"
        )
    if source is not None:
        return _taken(vault, backend.name, how, source)
    if not _can_be_asked(words):
        raise Unavailable(
            f"i/o error: standard input is not a terminal, and this login asks: run 'anvilsrv login {backend.name}' in one"
            + ("" if how.database else f", or copy an existing login: anvilsrv login --from FILE {backend.name}")
        )
    program = outside.which(backend.program) if backend.program else None
    if backend.program and program is None:
        if (lacks := backend.declared_available()) != "ok":
            raise NotFound(lacks)
        raise NotFound(f"no program '{backend.program}' in a directory that no agent can write")
    paths.private_dir(vault.top)
    fresh = Path(tempfile.mkdtemp(prefix=f".{backend.name}-", dir=vault.top))
    try:
        status = _run(backend, how, program or "", fresh, words)
        if how.database:
            _written_out(how, fresh)
        found = [one for one in how.files if beneath.exists(fresh, one)]
        if not found:
            stands = next((one for one in how.files if (fresh / one).is_symlink()), "")
            why = f"{stands} is a link" if stands else f"it left no {' or '.join(how.files)} (exit status {status})"
            raise Unavailable(f"i/o error: no login: {why}")
        with vault.locked(backend.name):
            for one in found:
                vault.put(backend.name, one, loaded(fresh, one))
    finally:
        beneath.remove(fresh)
    return f"logged in: sessions of {backend.name} have it from now on"


def _can_be_asked(words: list[str]) -> bool:
    """Return whether a login may read standard input: a terminal, or what the user gives to the words for it, as in
    ``printenv OPENAI_API_KEY | anvilsrv login codex --with-api-key``.
    """
    try:
        kind = os.fstat(0).st_mode
        return os.isatty(0) or (bool(words) and not stat.S_ISCHR(kind))
    except OSError:  # it is closed
        return False


def _written_out(how: Login, fresh: Path) -> None:
    """Write what the database holds to the first file, if there is a login in it."""
    if not beneath.exists(fresh, how.database):
        return
    try:
        found = database_login.dump(fresh / how.database, how.table)
    except sqlite3.Error as error:
        raise Unavailable(f"i/o error: no login: {how.database}: {error}") from None
    if how.holds_one(found):
        beneath.write(fresh, how.files[0], dumps(found) + "\n")


def _taken(vault: Vault, backend: str, how: Login, source: Path) -> str:
    """Take the login from ``source``. Returns what was done, in words. Its directory may be an agent's to write, so at
    least the last part is not a link.
    """
    content = loaded(source.absolute().parent, source.name)
    with vault.locked(backend):
        vault.put(backend, how.files[0], content)
    return f"taken from {source}: sessions of {backend} have it from now on"


def _run(backend: Backend, how: Login, program: str, fresh: Path, words: list[str]) -> int:
    place = Place("login", str(fresh), str(fresh), str(fresh), str(Path.home()))
    values = {**backend.values(place), "PROGRAM": program}
    for name in how.files:
        (fresh / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in how.data.items():
        made = templates.expand(content, values)
        beneath.write(fresh, name, made if isinstance(made, str) else dumps(made))
    env = outside.environment() | templates.expand(how.env, values)
    try:
        return subprocess.run(
            [*templates.expand(how.command, values), *words], cwd=fresh, env=env, check=False
        ).returncode
    except OSError as error:
        raise Unavailable(f"i/o error: cannot run '{how.command[0]}': {error.strerror}") from None
