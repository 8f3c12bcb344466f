"""The filter as a program: run instruction by instruction, for both architectures, on calls of every kind."""

import pytest

from sandbox import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
NETWORKS = ("none", "ports", "all")


def verdict(program: list[seccomp.Instruction], arch: int, number: int, *arguments: int) -> int:
    """Return what the kernel would answer: 0 for allowed, an errno, or KILL."""
    words = [number, arch, 0, 0]
    for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]:
        words += [argument & 0xFFFFFFFF, argument >> 32 & 0xFFFFFFFF]
    accumulator, place = 0, 0
    while True:
        code, true, false, constant = program[place]
        place += 1
        if code == 0x20:
            accumulator = words[constant // 4]
        elif code == 0x54:
            accumulator &= constant
        elif code in (0x15, 0x35):
            place += true if (accumulator == constant if code == 0x15 else accumulator >= constant) else false
        else:
            assert code == 0x06
            return 0 if constant == ALLOW else KILL if constant == KILL else constant & 0xFFFF


class Filter:
    """A filter for an architecture, asked by name."""

    def __init__(self, machine: str, network: str = "none", *, alone: bool = True) -> None:
        self.column, self.arch = ("x86_64", "aarch64").index(machine), seccomp.ARCH[machine]
        private = alone and network == "none"
        found = seccomp.rules(network=network, private_ipc=alone, private_pids=alone, private_network=private)
        self.program = seccomp.assemble(found, machine)

    def __call__(self, call: str, *arguments: int) -> int:
        return verdict(self.program, self.arch, seccomp.CALLS[call][self.column], *arguments)


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("alone", [True, False])
def test_jumps_stay_in_the_program(machine: str, network: str, alone: bool) -> None:
    """The kernel would refuse the filter otherwise: each path ends in a verdict."""
    program = Filter(machine, network, alone=alone).program
    assert len(program) < 4096
    assert program[-1][0] == 0x06
    for place, (code, true, false, _) in enumerate(program):
        if code in (0x15, 0x35):
            assert place + 1 + max(true, false) < len(program)
            assert max(true, false) < 256


def test_a_foreign_architecture_is_killed(machine: str) -> None:
    """i386 and arm calls by their own numbers."""
    wanted = Filter(machine)
    for arch in (0x40000003, 0x40000028, 0, seccomp.ARCH["x86_64" if machine == "aarch64" else "aarch64"]):
        assert verdict(wanted.program, arch, 1) == KILL


@pytest.mark.parametrize("network", NETWORKS)
def test_ordinary_calls_pass(machine: str, network: str) -> None:
    """read, write, fork and what no rule names."""
    wanted = Filter(machine, network)
    for number in (0, 1, 2, 3, 63, 64, 500):
        named = [call for call, numbers in seccomp.CALLS.items() if numbers[wanted.column] == number]
        if not named:
            assert verdict(wanted.program, wanted.arch, number) == 0
    assert wanted("clone", 17) == wanted("clone", 0x3D0F00 | 17) == 0
    assert wanted("ioctl", 0, 0x5413) == wanted("unshare", 0x400) == wanted("socket", 1, 1 | 0x80000, 0) == 0


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_always_denied_is_denied(machine: str, network: str, alone: bool) -> None:
    """Whatever the mode, whatever the arguments."""
    wanted = Filter(machine, network, alone=alone)
    for call in seccomp.ALWAYS_DENIED:
        if seccomp.CALLS[call][wanted.column] >= 0:
            assert wanted(call, 1, 2, 3) == seccomp.EPERM, call
    for call in seccomp.ABSENT:
        assert wanted(call) == seccomp.ENOSYS
    for request in (seccomp.TIOCSTI, seccomp.TIOCLINUX):
        assert {wanted("ioctl", 0, request | high << 32) for high in (0, 1, 0xFFFFFFFF)} == {seccomp.EPERM}
    for bit in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert wanted("clone", bit | 17) == wanted("clone", bit | 1 << 32) == wanted("unshare", bit) == seccomp.EPERM
    for family, kind, protocol in (
        (1, 2, 0),
        (2, 1, 262),
        (2, 1, 132),
        (2, 3, 1),
        (17, 3, 0),
        (40, 1, 0),
        (38, 5, 0),
        (16, 3, 15),
    ):
        for flags in (0, 0x80000, 0x800, 0x80800):
            assert wanted("socket", family, kind | flags, protocol) == seccomp.EACCES, (family, kind, protocol)
    assert wanted("socketpair", 1, 2 | 0x80000, 0) == seccomp.EACCES


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("alone", [True, False])
def test_no_call_can_make_a_program_that_runs_as_its_owner(machine: str, network: str, alone: bool) -> None:
    """Set-uid and set-gid, alone and together, beside every other bit; what opens a file without making it has no mode."""
    wanted = Filter(machine, network, alone=alone)
    for call, (mode, flags) in seccomp.MODES.items():
        if seccomp.CALLS[call][wanted.column] < 0:
            continue
        for bits in (0o4000, 0o2000, 0o6777, 0o104755, 1 << 32 | 0o4755):
            for made in (0o100, 0o100 | 0o2, 0o20200000):
                arguments = [0, 0, 0, 0]
                arguments[mode] = bits
                if flags is not None:
                    arguments[flags] = made
                assert wanted(call, *arguments) == seccomp.EPERM, (call, oct(bits))
        for arguments in ([0, 0o1777, 0o1777, 0o1777], [0o6000, 0, 0, 0]):
            assert wanted(call, *arguments) == 0, call
        if flags is not None:
            arguments = [0, 0, 0, 0]
            arguments[flags], arguments[mode] = 0o200000 | 0o2000000, 0o6777  # O_DIRECTORY, O_CLOEXEC
            assert wanted(call, *arguments) == 0, "the register of a mode that is not read may hold anything"


@pytest.mark.parametrize(
    ("network", "alone", "allowed"),
    [("none", True, "tcp udp route"), ("none", False, ""), ("ports", True, "tcp route"), ("ports", False, "tcp route"),
     ("all", True, "tcp udp route fastopen"), ("all", False, "tcp udp route fastopen")],
)  # fmt: skip
def test_internet_sockets_are_those_of_the_mode(machine: str, network: str, alone: bool, allowed: str) -> None:
    """In an empty network of its own, too, everything that meets only itself."""
    wanted = Filter(machine, network, alone=alone)
    cases = {
        "tcp": ("socket", 2, 1, 6),
        "udp": ("socket", 10, 2 | 0x80000, 17),
        "route": ("socket", 16, 3 | 0x80000, 0),
    }
    found = {name for name, case in cases.items() if wanted(*case) == 0}
    fast = {
        wanted("sendto", 3, 0, 0, 0x20004000),
        wanted("sendmsg", 3, 0, 0x20000000),
        wanted("sendmmsg", 3, 0, 1, 0x20000000),
    }
    assert len(fast) == 1
    found |= {"fastopen"} if fast == {0} else set()
    assert found == set(allowed.split())
    assert wanted("sendto", 3, 0x20000000, 0x20000000, 0x4000) == 0


def test_without_namespaces_other_processes_and_shared_memory_are_denied(machine: str) -> None:
    """Only "myself" passes; with namespaces there is nobody else."""
    shared, alone = Filter(machine, alone=False), Filter(machine)
    for call, argument in seccomp.OTHERS.items():
        arguments = [0, 0, 0]
        assert shared(call, *arguments) == 0
        arguments[argument] = 1234
        assert (shared(call, *arguments), alone(call, *arguments)) == (seccomp.EPERM, 0), call
    for call in seccomp.SHARED_IPC:
        assert (shared(call), alone(call)) == (seccomp.EPERM, 0)


def test_x32_calls_do_not_exist() -> None:
    """The same calls with bit 30, which a filter by number alone would miss."""
    wanted = Filter("x86_64")
    assert verdict(wanted.program, wanted.arch, 0x40000000 | 101) == seccomp.ENOSYS
