"""Programs that do not come with the system find the granted host too: those of cargo, bun and uv, of Python's libraries, of musl."""

import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from door_world import HTTP, DoorWorld
from sandbox_world import PYTHON
from test_door_clients import NAME, URL, Files, files, sh  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
PLACES = (os.environ.get("ANVILLM_TEST_CLIENTS", ""), str(ROOT / "node_modules/.bin"), str(Path(sys.executable).parent))


def found(program: str) -> Path:
    """Return a program of those places or of PATH; rustup's stand-ins are followed."""
    path = shutil.which(program, path=os.pathsep.join([*filter(None, PLACES), os.environ["PATH"]]))
    real = Path(path).resolve() if path else None
    if real is not None and real.name == "rustup":
        asked = subprocess.run([real, "which", program], capture_output=True, text=True, check=False)
        real = Path(asked.stdout.strip()) if asked.returncode == 0 else None
    if real is None:
        pytest.skip(f"no {program} in $ANVILLM_TEST_CLIENTS, node_modules/.bin, the tests' environment or PATH")
    return real


def brought(door: DoorWorld, program: str, *libraries: str) -> Path:
    """Return a directory that the user of the sandbox can read, with a copy of it in ``bin``, and of what it is linked
    to in ``lib``.
    """
    source, top = found(program), door.world.top / "brought"
    for name in ("bin", "lib"):
        (top / name).mkdir(parents=True, exist_ok=True)
    link(source, top / "bin" / program)
    for library in libraries:
        for path in (source.parent.parent / "lib").glob(library):
            link(path, top / "lib" / path.name)
    return top


def link(source: Path, target: Path) -> None:
    """A link, where it can be one: a compiler is large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def run(door: DoorWorld, script: str, top: Path) -> str:
    """Return what a script prints inside, which finds programs there first."""
    result = sh(door, f"PATH={top}/bin:$PATH\n{script}", rox=[str(top)])
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


FETCH = f'const r = await fetch("{URL}/hello"); console.log(await r.text())'
GET = f'require("node:https").get("{URL}/hello", r => r.pipe(process.stdout))'


@pytest.mark.slow(3)
@pytest.mark.parametrize("code", [FETCH, GET], ids=["fetch", "https"])
@pytest.mark.parametrize("program", ["bun", "node"])
def test_a_javascript_runtime_reaches_the_granted_host(
    door: DoorWorld,
    files: Path,  # noqa: F811
    program: str,
    code: str,
) -> None:
    top = brought(door, program)
    form = "--input-type=module " if (program, code) == ("node", FETCH) else ""
    assert "hello" in run(door, f"{program} {form}-e '{code}'", top)


def wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("thing.py", "")
        file.writestr("thing-1.2.3.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.2.3\n")
        file.writestr("thing-1.2.3.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("thing-1.2.3.dist-info/RECORD", "thing.py,,\n")


@pytest.mark.slow(3)
def test_uv_installs_from_the_granted_host(door: DoorWorld, files: Path) -> None:  # noqa: F811
    top = brought(door, "uv")
    (files / "simple/thing").mkdir(parents=True)
    (files / "simple/thing/index.html").write_text(
        '<a href="/thing-1.2.3-py3-none-any.whl">thing-1.2.3-py3-none-any.whl</a>'
    )
    wheel(files / "thing-1.2.3-py3-none-any.whl")
    script = f"""
export UV_CACHE_DIR=$TMPDIR/uv UV_NO_CONFIG=1
uv pip install -q --python /usr/bin/python3 --target there --default-index {URL}/simple thing
ls there"""
    assert "thing.py" in run(door, script, top)


def crate() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name, text in (("Cargo.toml", '[package]\nname = "thing"\nversion = "1.2.3"\n'), ("src/lib.rs", "")):
            entry = tarfile.TarInfo(f"thing-1.2.3/{name}")
            entry.size = len(text)
            file.addfile(entry, io.BytesIO(text.encode()))
    return data.getvalue()


CARGO = f"""
mkdir -p src .cargo
touch src/lib.rs
cat > Cargo.toml <<'END'
[package]
name = "mine"
version = "0.1.0"
edition = "2021"
[dependencies]
thing = {{ version = "1", registry = "ours" }}
END
cat > .cargo/config.toml <<'END'
[registries.ours]
index = "sparse+{URL}/index/"
END
export CARGO_HOME=$TMPDIR/cargo CARGO_HTTP_CAINFO=$SSL_CERT_FILE
cargo fetch
ls $CARGO_HOME/registry/cache/*
"""


@pytest.mark.slow(5)
def test_cargo_fetches_from_the_granted_host(door: DoorWorld, files: Path) -> None:  # noqa: F811
    if found("cargo").parent == Path("/usr/bin"):
        pytest.skip("cargo of the system is too old for such an index")
    top = brought(door, "cargo")
    brought(door, "rustc", "librustc_driver*", "libLLVM*")
    data = crate()
    (files / "index/th/in").mkdir(parents=True)
    (files / "index/config.json").write_text(json.dumps({"dl": f"{URL}/{{crate}}-{{version}}.crate"}))
    line = {
        "name": "thing",
        "vers": "1.2.3",
        "deps": [],
        "cksum": hashlib.sha256(data).hexdigest(),
        "features": {},
        "yanked": False,
    }
    (files / "index/th/in/thing").write_text(json.dumps(line) + "\n")
    (files / "thing-1.2.3.crate").write_bytes(data)
    assert "thing-1.2.3.crate" in run(door, CARGO, top)


LIBRARIES = {
    "requests": f'import requests; print(requests.get("{URL}/hello").text)',
    "httpx": f'import httpx; print(httpx.get("{URL}/hello").text)',
    "aiohttp": f"""
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as session, session.get("{URL}/hello") as answer:
        print(await answer.text())
asyncio.run(main())""",
}


@pytest.mark.parametrize("module", sorted(LIBRARIES))
def test_a_library_of_python_reaches_the_granted_host(door: DoorWorld, files: Path, module: str) -> None:  # noqa: F811
    if find_spec(module) is None:
        pytest.skip(f"no {module} in the tests' environment")
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if version.split(".")[:2] != [str(number) for number in sys.version_info[:2]]:
        pytest.skip(f"{PYTHON} is {version}: what is built for the tests' Python is not for it")
    where = Path(sysconfig.get_path("purelib"))
    if not all(one.stat().st_mode & 0o001 for one in (where, *where.parents)):
        pytest.skip(f"an ordinary user cannot read {where}")
    code = door.world.proj / "it.py"
    code.write_text(LIBRARIES[module])
    result = sh(door, f"PYTHONPATH={where} {PYTHON} -P {code}", rox=[str(where)])
    assert (result.returncode, result.stdout) == (0, "hello\n\n"), result.stderr


MUSL = r"""
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int count, char **words) {
    struct addrinfo *found, want = {.ai_socktype = SOCK_STREAM};
    int error = getaddrinfo(words[1], words[2], &want, &found), got;
    if (error) { puts(gai_strerror(error)); return 1; }
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen)) { perror("connect"); return 1; }
    char part[4096], ask[] = "GET /hello HTTP/1.0\r\n\r\n";
    write(fd, ask, strlen(ask));
    while ((got = read(fd, part, sizeof part)) > 0) fwrite(part, 1, got, stdout);
}
"""


def test_a_program_with_musl_reaches_the_granted_host_and_no_other(door: DoorWorld) -> None:
    compiler = shutil.which("musl-gcc")
    if compiler is None:
        pytest.skip("no musl-gcc")
    top = door.world.top / "bin"
    subprocess.run([compiler, "-static", "-x", "c", "-", "-o", top / "ask"], input=MUSL.encode(), check=True)
    served = door.world.top / "served"
    served.mkdir()
    (served / "hello").write_text("hello\n")
    door.start()
    door.serve(HTTP, "", functools.partial(Files, directory=str(served)))  # type: ignore[arg-type]
    script = f"{top}/ask {NAME} {HTTP}\n{top}/ask evil.test {HTTP} || true"
    result = sh(door, script, f"{NAME}:{HTTP}", rox=[str(top)])
    assert result.returncode == 0, result.stderr
    assert "\nhello\nName does not resolve\n" in result.stdout
