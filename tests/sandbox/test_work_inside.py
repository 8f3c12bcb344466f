"""The other side of the wall: ordinary work goes on inside, under the default role and an empty network."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sandbox_world import PYTHON, World

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = {"filesystem": {"rwx": ["{CWD}", "{TMPDIR}"]}}


def run(world: World, script: str, layer: dict[str, object] | None = None) -> str:
    """Return the output of a shell script inside; it must succeed."""
    result = world.start(world.spec(["sh", "-euc", script], layer or DEFAULT))
    assert result.returncode == 0, result.stderr
    return result.stdout


def need(*programs: str) -> None:
    for program in programs:
        if not (shutil.which(program, path="/usr/bin:/bin")):
            pytest.skip(f"no {program}")


def test_git_works(world: World) -> None:
    """A repository from nothing: commits, branches, a merge, a clone, a worktree."""
    need("git")
    script = """
        export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git init -q -b main . && echo one > file && git add file && git commit -qm one
        git checkout -qb side && echo two > other && git add other && git commit -qm two
        git checkout -q main && git merge -q --no-edit side && git gc -q && git fsck --no-progress
        git clone -q . clone && git worktree add -q tree side && git stash list && git log --oneline | wc -l
    """
    assert run(world, script).strip() == "2"
    assert (world.proj / "clone/other").exists()


def test_a_c_program_is_built_and_run(world: World) -> None:
    """Compiler, linker, make; the program runs because the working directory is rwx."""
    need("gcc", "make")
    (world.proj / "main.c").write_text(
        '#include <stdio.h>\n#include <math.h>\nint main(void) { printf("%.1f\\n", sqrt(6.25)); return 0; }\n'
    )
    (world.proj / "Makefile").write_text("main: main.c\n\tgcc -O1 -o $@ $< -lm\n")
    world.own()
    assert run(world, "make -s && ./main") == "2.5\n"


def test_node_works(world: World) -> None:
    """Workers, child processes, files and the addresses of this machine."""
    need("node")
    script = r"""
        cat > work.js <<'END'
        const { Worker, isMainThread, parentPort } = require('worker_threads')
        if (!isMainThread) { parentPort.postMessage('worker'); return }
        const http = require('http'), os = require('os'), cp = require('child_process')
        os.networkInterfaces()
        new Worker(__filename).on('message', m => {
          const server = http.createServer((q, r) => r.end('http')).listen(0, '127.0.0.1', () =>
            fetch('http://127.0.0.1:' + server.address().port).then(r => r.text()).then(t => {
              console.log(m, t, cp.execFileSync('echo', ['child']).toString().trim()); server.close() }))
        })
END
        node work.js
    """
    assert run(world, script) == "worker http child\n"


def test_pythons_multiprocessing_works(world: World) -> None:
    """Semaphores, shared memory, pools, sockets between processes."""
    code = """
import asyncio, concurrent.futures, multiprocessing as m, multiprocessing.shared_memory as s, sqlite3, tempfile
def double(n): return 2 * n
if __name__ == "__main__":
    with m.Pool(2) as pool: print(pool.map(double, range(3)))
    with concurrent.futures.ProcessPoolExecutor(2, m.get_context("spawn")) as pool: print(list(pool.map(double, [4])))
    block = s.SharedMemory(create=True, size=8); block.buf[0] = 1; block.close(); block.unlink()
    queue = m.Queue(); m.Process(target=queue.put, args=(5,)).start(); print(queue.get())
    with m.Manager() as manager: print(manager.list([6]))
    sqlite3.connect("data.db").execute("create table t (a)")
    tempfile.NamedTemporaryFile().close()
    async def child(): return await (await asyncio.create_subprocess_exec("true")).wait()
    print(asyncio.run(child()))
"""
    (world.proj / "work.py").write_text(code)
    world.own()
    assert run(world, f"{PYTHON} work.py").split("\n") == ["[0, 2, 4]", "[8]", "5", "[6]", "0", ""]


def test_an_editor_saves_by_rename(world: World) -> None:
    """A temporary file beside it, fsync, rename, a backup by link: what careful editors do."""
    (world.proj / "text").write_text("old\n")
    world.own()
    code = (
        "import os, tempfile\nos.link('text', 'text~')\nfd, name = tempfile.mkstemp(dir='.')\nos.write(fd, b'new\\n'); os.fsync(fd)\n"
        "os.fchmod(fd, 0o640); os.close(fd); os.utime(name); os.replace(name, 'text')\n"
    )
    run(world, f'{PYTHON} -c "$CODE"', {**DEFAULT, "env": [f"CODE={code}"]})
    assert ((world.proj / "text").read_text(), (world.proj / "text~").read_text()) == ("new\n", "old\n")


@pytest.mark.parametrize("editor", ["vim -Nes", "sed -i"])
def test_a_real_editor_saves(world: World, editor: str) -> None:
    """Whatever is installed."""
    need(editor.split()[0])
    (world.proj / "text").write_text("old\n")
    world.own()
    commands = {"vim -Nes": "vim -Nes -u NONE -c '%s/old/new/' -c wq text", "sed -i": "sed -i s/old/new/ text"}
    run(world, commands[editor])
    assert (world.proj / "text").read_text() == "new\n"


def test_the_users_name_and_the_machines_are_known(world: World) -> None:
    """passwd, hosts, time zone, locale, certificates."""
    out = run(
        world,
        "id -un >/dev/null 2>&1 || true; getent passwd root; getent hosts localhost; date +%Z; ls /etc/ssl/certs | head -1",
    )
    assert out.startswith("root:x:0:0:")
    assert "localhost" in out


def test_emacs_and_less_open_their_terminal_description(user_world: World) -> None:
    """terminfo, wherever the distribution keeps it."""
    need("infocmp")
    assert "tmux" in run(user_world, "infocmp tmux-256color || infocmp -A /usr/share/terminfo tmux")


def test_anvil9p_reads_its_own_socket(world: World) -> None:
    """The real client against a real server on the session's socket."""
    server_module = pytest.importorskip("anvilsrv.p9.server")
    tree = pytest.importorskip("anvilsrv.p9.tree")
    program = ROOT / "anvilsrv/inside/anvil9p.py"
    if not program.exists():
        pytest.skip("no anvil9p")
    root = tree.StaticDir("/", {"list": tree.TextFile("list", read=lambda who: f"for {who}\n".encode())})
    server = server_module.Server()
    os.seteuid(world.uid)  # the kernel tells the client who listens
    try:
        server.listen(str(world.sess / "agent"), root, "session")
    finally:
        os.seteuid(os.getuid())
    server.start()
    try:
        os.chmod(world.sess / "agent", 0o666)
        copied = world.top / "program"
        shutil.copytree(ROOT / "anvilsrv", copied / "anvilsrv", ignore=shutil.ignore_patterns("__pycache__"))
        layer = {"filesystem": {"rwx": ["{CWD}"], "rox": [str(copied)]}, "env": [f"PYTHONPATH={copied}"]}
        assert run(world, f"{PYTHON} -m anvilsrv.inside.anvil9p read agent/list", layer) == "for session\n"
    finally:
        server.stop()


def test_programs_of_the_users_home_run_by_a_grant(world: World) -> None:
    """Interpreters as pyenv and npm install them: a directory of the home, rox, from the daemon's own layer."""
    tools = world.home / ".tools/versions/1/bin"
    tools.mkdir(parents=True)
    (tools / "tool").write_text("#!/bin/sh\necho tool\n")
    (tools / "tool").chmod(0o755)
    (world.home / ".tools/bin").symlink_to("versions/1/bin")
    world.own()
    layer = {"filesystem": {"rox": ["{HOME}/.tools"]}}
    assert run(world, '"$HOME/.tools/bin/tool"', layer) == "tool\n"


def test_add_exec_and_ldd_grant_the_program_and_its_libraries(world: World) -> None:
    """The seed's advanced keys."""
    need("gcc")
    place = world.home / "build"
    place.mkdir()
    (place / "lib.c").write_text("int seven(void) { return 7; }\n")
    (place / "main.c").write_text("int seven(void); int main(void) { return seven(); }\n")
    build = "gcc -shared -fPIC -o libseven.so lib.c && gcc -o main main.c -L. -lseven -Wl,-rpath,$PWD"
    subprocess.run(["sh", "-euc", build], cwd=place, check=True, timeout=60)
    world.own()
    layer = {"advanced": {"add_exec": True, "ldd": True}}
    assert world.start(world.spec([str(place / "main")], layer)).returncode == 7
    assert world.start(world.spec([str(place / "main")])).returncode == 127
