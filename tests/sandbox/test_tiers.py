"""Which tier a policy gets on which kernel: never less than it asks, unless global.yaml says so."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sandbox import kernel, landlock, launcher, plan, policy, tiers
from sandbox.errors import SandboxError, SandboxRefused

NOTHING: dict[str, Any] = {}
PORTS = {"network": {"enabled": True, "connect_tcp": [443]}}
ALL = {"network": {"enabled": True, "unrestricted": True}}


def wanted(tmp_path: Path, layer: dict[str, Any], best_effort: str = "false") -> policy.Policy:
    tmp_path = Path(os.path.realpath(tmp_path))
    (tmp_path / "global.yaml").write_text(f"general: {{best_effort: {best_effort}}}\n")
    (tmp_path / "proj").mkdir(exist_ok=True)
    return policy.load(
        config=[tmp_path], backend="", role=None, tasks=[], cwd=str(tmp_path / "proj"), namespace=str(tmp_path / "ns"),
        env={"HOME": str(tmp_path / "home")}, extra=[("x", layer)],
    )  # fmt: skip


# kernel (tier, ABI), layer, best_effort -> the tier taken, or the words of the refusal
CASES = [
    ("full", 7, NOTHING, "false", "full"), ("full", 7, PORTS, "false", "full"), ("full", 7, ALL, "false", "full"),
    ("full", 1, NOTHING, "false", "full"), ("full", 3, PORTS, "false", "TCP ports cannot be told apart by Landlock ABI 3"),
    ("full", 5, PORTS, "false", "abstract sockets"), ("full", 5, ALL, "false", "abstract sockets"), ("full", 5, ALL, "true", "full"),
    ("full", 3, PORTS, "true", "full"), ("ll9", 9, NOTHING, "false", "ll9"), ("ll9", 10, ALL, "false", "ll9"),
    ("weak", 7, NOTHING, "false", "tmux"), ("weak", 7, NOTHING, "true", "weak"), ("weak", 1, ALL, "true", "weak"),
    ("none", 0, NOTHING, "false", "no Landlock"), ("none", 0, NOTHING, "true", "unsandboxed"),
    ("none", 0, NOTHING, "unsandboxed", "none"), ("weak", 7, NOTHING, "unsandboxed", "weak"),
]  # fmt: skip


@pytest.mark.parametrize(("tier", "abi", "layer", "best_effort", "expected"), CASES)
def test_a_tier_is_taken_or_refused(
    tmp_path: Path, tier: str, abi: int, layer: dict[str, Any], best_effort: str, expected: str
) -> None:
    """The table of what holds where."""
    report = tiers.Report(tier, ["this kernel has no Landlock"], ["take another"], abi)
    found = wanted(tmp_path, layer, best_effort)
    if expected in ("full", "ll9", "weak", "none"):
        assert tiers.choose(found, report) == expected
        missing = tiers.gaps(found, expected, abi)
        assert bool(missing) == (best_effort != "false"), missing
    else:
        with pytest.raises(SandboxRefused, match=expected) as error:
            tiers.choose(found, report)
        assert "in global.yaml would allow it" in str(error.value)


@pytest.mark.parametrize("tier", ["full", "ll9"])
@pytest.mark.parametrize("layer", [NOTHING, PORTS, ALL], ids=["none", "ports", "all"])
def test_the_launcher_asks_for_the_abi_that_the_choice_needs(tmp_path: Path, tier: str, layer: dict[str, Any]) -> None:
    """Chooser and launcher agree: below ``least_abi`` there is a gap, from it on there is none."""
    found = wanted(tmp_path, layer)
    least = plan.least_abi(found, tier)
    assert tiers.gaps(found, tier, least) == []
    if tier == "full" and least > 1:
        assert tiers.gaps(found, tier, least - 1) != []


def test_the_probe_tries_the_tiers_for_real() -> None:
    """The report is what this kernel does, not what it says."""
    report = tiers.probe()
    assert report.abi == landlock.abi()
    assert (tiers.attempt("full") is None) == (report.tier == "full")
    if report.tier != "full":
        assert report.reasons


@pytest.mark.parametrize(("command", "why"), [(["sleep", "60"], "too busy"), (["/no/such/program"], "No such file")])
def test_a_machine_that_starts_no_program_says_nothing_of_its_kernel(
    monkeypatch: pytest.MonkeyPatch, command: list[str], why: str
) -> None:
    monkeypatch.setattr(tiers, "PATIENCE", 0.1)
    monkeypatch.setattr(launcher, "command", lambda path: command)
    with pytest.raises(SandboxError, match=f"cannot find out what this kernel can enforce: .*{why}"):
        tiers.probe()


def test_a_kernel_without_user_namespaces_gets_the_next_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and what to do about it."""
    monkeypatch.setattr(
        tiers, "attempt", lambda tier: "this kernel allows no user namespaces" if tier == "full" else None
    )
    for abi, tier in ((7, "weak"), (9, "ll9"), (0, "none")):
        monkeypatch.setattr(landlock, "abi", lambda abi=abi: abi)
        report = tiers.probe()
        assert report.tier == tier
        assert report.reasons
    monkeypatch.setattr(kernel, "MACHINE", "riscv64")
    assert tiers.probe().tier == "none"


@pytest.mark.parametrize(
    ("refusal", "release", "manager", "words"),
    [
        (errno.EOPNOTSUPP, "6.8.0-45", "", "lsm=landlock,"),
        (errno.ENOSYS, "5.10.0-8", "docker", "5.13 or newer"),
        (errno.ENOSYS, "6.1.0", "docker", "--security-opt seccomp=unconfined"),
        (errno.EPERM, "6.1.0", "systemd-nspawn", "landlock_restrict_self"),
        (errno.ENOSYS, "6.1.0", "", "CONFIG_SECURITY_LANDLOCK"),
    ],
)
def test_what_keeps_landlock_away_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, refusal: int, release: str, manager: str, words: str
) -> None:
    """An old kernel, one that has it switched off, a container, or none of these."""
    monkeypatch.setattr(landlock, "refusal", lambda: refusal)
    monkeypatch.setattr(tiers.platform, "release", lambda: release)
    monkeypatch.setattr(tiers, "container", lambda: manager)
    assert words in tiers.landlock_advice()


@pytest.mark.parametrize(
    ("manager", "words"), [("podman", "unmask=ALL"), ("", "CONFIG_USER_NS"), ("wsl", "CONFIG_USER_NS")]
)
def test_there_is_always_something_to_do_about_missing_user_namespaces(
    monkeypatch: pytest.MonkeyPatch, manager: str, words: str
) -> None:
    """Where no switch of the kernel is to blame."""
    monkeypatch.setattr(tiers, "container", lambda: manager)
    monkeypatch.setattr(tiers.Path, "read_text", lambda self: "x")
    assert words in " ".join(tiers.namespace_advice())


@pytest.mark.parametrize(
    ("version", "fs", "net", "scopes"),
    [(0, 0, 0, 0), (1, 13, 0, 0), (2, 14, 0, 0), (3, 15, 0, 0), (4, 15, 2, 0), (5, 16, 2, 0), (6, 16, 2, 2), (7, 16, 2, 2),
     (8, 16, 2, 2), (9, 17, 2, 2), (10, 17, 4, 2)],
)  # fmt: skip
def test_every_right_of_an_abi_is_handled_and_none_of_a_later_one(version: int, fs: int, net: int, scopes: int) -> None:
    """An unhandled right would be allowed; an unknown one makes the kernel refuse."""
    assert landlock.handled(version) == ((1 << fs) - 1, (1 << net) - 1, (1 << scopes) - 1)


def test_device_nodes_are_never_made_and_files_have_only_rights_of_files() -> None:
    """Whatever the letters."""
    everything = landlock.rights("rwxdsl")
    assert not everything & (landlock.MAKE_CHAR | landlock.MAKE_BLOCK)
    assert landlock.rights("r") & landlock.ON_FILES == landlock.READ_FILE
    assert not landlock.rights("rwxl") & (landlock.IOCTL_DEV | landlock.RESOLVE_UNIX)
