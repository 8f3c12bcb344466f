"""The system call filter (seccomp(2)): what neither Landlock nor a namespace takes away.

The filter is a list of ``Rule`` values, assembled into classic BPF for x86_64 and aarch64. Everything that no rule
names is allowed; calls for a foreign architecture kill the process, x32 calls do not exist.
"""

from __future__ import annotations

import ctypes

from sandbox import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EPERM, EACCES, ENOSYS = 1, 13, 38
#: AUDIT_ARCH_* of linux/audit.h
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64); -1 where the architecture has no such call
CALLS: dict[str, tuple[int, int]] = {
    "ioctl": (16, 29), "socket": (41, 198), "socketpair": (53, 199), "clone": (56, 220), "clone3": (435, 435),
    "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269), "unshare": (272, 97), "setns": (308, 268),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_tree_attr": (467, 467), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "reboot": (169, 142),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "syslog": (103, 116), "vhangup": (153, 58), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "iopl": (172, -1),
    "ioperm": (173, -1), "uselib": (134, -1), "ustat": (136, -1), "sysfs": (139, -1), "_sysctl": (156, -1),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "prlimit64": (302, 261), "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "seccomp": (317, 277), "open": (2, -1), "openat": (257, 56),
    "openat2": (437, 437), "creat": (85, -1), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "mkdir": (83, -1), "mkdirat": (258, 34), "mknod": (133, -1), "mknodat": (259, 33),
}  # fmt: skip

ALWAYS_DENIED = (
    "setns", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
    "process_mrelease", "perf_event_open", "bpf", "userfaultfd", "mount", "umount2", "pivot_root", "chroot",
    "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr",
    "add_key", "request_key", "keyctl", "open_by_handle_at", "fanotify_init", "quotactl", "quotactl_fd", "swapon",
    "swapoff", "acct", "reboot", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
    "syslog", "vhangup", "settimeofday", "clock_settime", "lookup_dcookie", "nfsservctl", "iopl", "ioperm", "uselib",
    "ustat", "sysfs", "_sysctl", "migrate_pages", "move_pages",
)  # fmt: skip
#: What says what it wants in memory, where a filter cannot look (openat2 would be told its mode there), and io_uring.
ABSENT = ("clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")
#: Calls that give a file its mode: the argument that holds it, and that of the flags for those that may not create one.
#: A set-uid program that an agent leaves in a directory of the user's gives the user's rights to anyone who runs it.
MODES = {
    "chmod": (1, None), "fchmod": (1, None), "fchmodat": (2, None), "fchmodat2": (2, None), "creat": (1, None),
    "mkdir": (1, None), "mkdirat": (2, None), "mknod": (1, None), "mknodat": (2, None), "open": (2, 1), "openat": (3, 2),
}  # fmt: skip
SET_ID = 0o6000
#: O_CREAT, and the bit of O_TMPFILE that is its own: without them a mode is whatever stood in the register.
CREATES = 0o100 | 0o20000000
#: Without an ipc namespace these would reach the user's own segments and queues.
SHARED_IPC = (
    "shmget", "shmat", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink",
)  # fmt: skip
#: Without a pid namespace these would change other processes of the user: only "myself" (0) passes in this argument.
OTHERS = {
    "prlimit64": 0, "sched_setaffinity": 0, "sched_setparam": 0, "sched_setscheduler": 0, "sched_setattr": 0,
    "setpriority": 1, "ioprio_set": 1,
}  # fmt: skip
#: CLONE_NEWTIME NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET
NEW_NAMESPACES = 0x80 | 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
#: Bits of clone's first argument that are the exit signal, among them the bit of CLONE_NEWTIME.
EXIT_SIGNAL = 0xFF
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
MSG_FASTOPEN = 0x20000000
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_TYPE_MASK = 1, 2, 5, 0xF
#: IP, ICMP, TCP, UDP, ICMPv6; SCTP, MPTCP, UDP-Lite and raw numbers are not here
PROTOCOLS = (0, 1, 6, 17, 58)


class Test:
    """A condition on the low 32 bits of argument ``argument``, after ``& mask``: is it one of ``values``?"""

    def __init__(self, argument: int, mask: int, values: tuple[int, ...], *, negate: bool = False) -> None:
        self.argument, self.mask, self.values, self.negate = argument, mask, values, negate


class Rule:
    """``call`` gives ``errno`` when all tests hold; errno 0 allows it at once."""

    def __init__(self, call: str, errno: int, tests: tuple[Test, ...] = ()) -> None:
        self.call, self.errno, self.tests = call, errno, tests


def rules(*, network: str, private_ipc: bool, private_pids: bool, private_network: bool) -> list[Rule]:
    """Return the rules for a network mode (``none``, ``hosts``, ``ports``, ``all``) and for what namespaces already
    hold apart.
    """
    found = [Rule("ioctl", EPERM, (Test(1, 0xFFFFFFFF, (TIOCSTI, TIOCLINUX)),))]
    for call, (mode, flags) in MODES.items():
        creates = () if flags is None else (Test(flags, CREATES, (0,), negate=True),)
        found.append(Rule(call, EPERM, (*creates, Test(mode, SET_ID, (0,), negate=True))))
    found += _sockets(network, private_network)
    if network != "all":
        for call, argument in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            found.append(Rule(call, EACCES, (Test(argument, MSG_FASTOPEN, (MSG_FASTOPEN,)),)))
    found.append(Rule("clone", EPERM, (Test(0, NEW_NAMESPACES & ~EXIT_SIGNAL, (0,), negate=True),)))
    found.append(Rule("unshare", EPERM, (Test(0, NEW_NAMESPACES, (0,), negate=True),)))
    if not private_pids:
        found += [Rule(call, EPERM, (Test(arg, 0xFFFFFFFF, (0,), negate=True),)) for call, arg in OTHERS.items()]
    found += [Rule(call, EPERM) for call in ALWAYS_DENIED]
    found += [Rule(call, ENOSYS) for call in ABSENT]
    if not private_ipc:
        found += [Rule(call, EPERM) for call in SHARED_IPC]
    return found


def _sockets(network: str, private: bool) -> list[Rule]:
    """Return an allow-list: what comes before the last rule for each call passes, the last denies the rest."""
    streams = Test(1, SOCK_TYPE_MASK, (SOCK_STREAM, SOCK_SEQPACKET))
    found = [Rule(call, 0, (Test(0, 0xFFFFFFFF, (AF_UNIX,)), streams)) for call in ("socket", "socketpair")]
    internet = Test(0, 0xFFFFFFFF, (AF_INET, AF_INET6))
    if network == "ports":
        tcp = Test(1, SOCK_TYPE_MASK, (SOCK_STREAM,)), Test(2, 0xFFFFFFFF, (0, 6))
        found.append(Rule("socket", 0, (internet, *tcp)))
    elif network == "all" or private:
        any_kind = Test(1, SOCK_TYPE_MASK, (SOCK_STREAM, SOCK_DGRAM)), Test(2, 0xFFFFFFFF, PROTOCOLS)
        found.append(Rule("socket", 0, (internet, *any_kind)))
    if network != "none" or private:
        # NETLINK_ROUTE only: the addresses of this machine's interfaces, which getifaddrs(3) asks for.
        found.append(Rule("socket", 0, (Test(0, 0xFFFFFFFF, (AF_NETLINK,)), Test(2, 0xFFFFFFFF, (0,)))))
    return [*found, Rule("socket", EACCES), Rule("socketpair", EACCES)]


# --- assembling ---------------------------------------------------------------------------------------------

_LD, _AND, _JEQ, _JGE, _RET = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
Instruction = tuple[int, int, int, int]


def assemble(found: Sequence[Rule], machine: str = kernel.MACHINE) -> list[Instruction]:
    """Return the program as (code, jump if true, jump if false, constant)."""
    column = ("x86_64", "aarch64").index(machine)
    program: list[Instruction] = [(_LD, 0, 0, 4), (_JEQ, 1, 0, ARCH[machine]), (_RET, 0, 0, _KILL_PROCESS)]
    program.append((_LD, 0, 0, 0))
    if machine == "x86_64":
        program += [(_JGE, 0, 1, 0x40000000), (_RET, 0, 0, _ERRNO | ENOSYS)]
    for rule in found:
        number = CALLS[rule.call][column]
        if number < 0:
            continue
        body = _body(rule)
        program.append((_JEQ, 0, len(body), number))
        program += body
    return [*program, (_RET, 0, 0, _ALLOW)]


def _body(rule: Rule) -> list[Instruction]:
    """Return the tests, each leaving to the end of the body when it fails, then the verdict. A holds the call number
    again after it, for the rules that follow.
    """
    verdict: Instruction = (_RET, 0, 0, _ERRNO | rule.errno if rule.errno else _ALLOW)
    if not rule.tests:
        return [verdict]
    sizes = [2 + len(test.values) for test in rule.tests]
    code: list[Instruction] = []
    for index, test in enumerate(rule.tests):
        to_verdict = sum(sizes[index + 1 :])  # from the end of this test to the verdict
        code += [(_LD, 0, 0, 16 + 8 * test.argument), (_AND, 0, 0, test.mask)]
        for place, value in enumerate(test.values):
            left = len(test.values) - place - 1  # comparisons of this test still to come
            fail = left + to_verdict + 1
            last = left == 0
            if test.negate:
                code.append((_JEQ, fail, 0, value))
            else:
                code.append((_JEQ, left, fail if last else 0, value))
    return [*code, verdict, (_LD, 0, 0, 0)]


def install(program: Sequence[Instruction]) -> None:
    """Put the filter on this process and all it starts. Needs no_new_privs."""
    code = b"".join(
        op.to_bytes(2, "little") + bytes((true, false)) + constant.to_bytes(4, "little")
        for op, true, false, constant in program
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    header = _Program(len(program), ctypes.addressof(buffer))
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.addressof(header))


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
