"""Unix sockets: those that act as the user, which ``global.yaml`` alone may let in, and those that nothing may."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping

from sandbox.pathnames import beneath_any, expand

#: Names that can stand under ``unix:`` instead of paths, with the variables that go with them.
NAMED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "acme": (("{NAMESPACE}/acme",), ()),
    "plumb": (("{NAMESPACE}/plumb",), ()),
    "docker": (("/run/docker.sock", "{XDG_RUNTIME_DIR}/docker.sock", "{HOME}/.docker/run/docker.sock"), ()),
    "podman": (("/run/podman/podman.sock", "{XDG_RUNTIME_DIR}/podman/podman.sock"), ()),
    "dbus": (("{XDG_RUNTIME_DIR}/bus",), ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")),
    "system-dbus": (("/run/dbus/system_bus_socket",), ()),
    "ssh-agent": (("{SSH_AUTH_SOCK}",), ("SSH_AUTH_SOCK",)),
    "gpg-agent": (("{HOME}/.gnupg/S.gpg-agent", "{XDG_RUNTIME_DIR}/gnupg/S.gpg-agent"), ()),
    "x11": (("/tmp/.X11-unix/X0", "{XAUTHORITY}"), ("DISPLAY", "XAUTHORITY")),
    "wayland": (("{XDG_RUNTIME_DIR}/{WAYLAND_DISPLAY}",), ("WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")),
}
#: Last parts of sockets that act as the user wherever they are.
_ACTING = (
    "docker.sock", "podman.sock", "containerd*.sock*", "crio.sock", "buildkitd.sock", "libvirt-sock*", "bus",
    "system_bus_socket", "S.gpg-agent*", "S.scdaemon", "S.keyboxd", "S.dirmngr", "agent.[0-9]*", "ssh-agent*",
    "X[0-9]*", "wayland-*", "acme", "plumb", "agent", "factotum", "pulse*", "pipewire-*", "snapd*.socket",
    "private", "notify", "dev-log", "kwallet*", "keyring*", "i3-*", "sway-ipc*", "hyprland*", "kitty*", "mpvsocket",
    "*.vscode-ipc*", "nvim.*", "emacs*", "server",
)  # fmt: skip
#: Found beneath a grant, these are masked, since no granted directory was meant to hold them.
MASKED = ("{HOME}/.gnupg/S.*", "{HOME}/.docker/run/*.sock", "{HOME}/.ssh/*.sock", "{HOME}/.ssh/agent/*",
          "{HOME}/.ssh/cm-*", "{HOME}/.emacs.d/server/*", "{HOME}/.config/emacs/server/*", "/run/docker.sock",
          "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket",
          "/run/systemd/private", "/run/systemd/io.*", "/run/snapd*.socket", "/run/user")  # fmt: skip


def values_of(entry: str, values: Mapping[str, str]) -> list[str]:
    """Return the paths that an entry of ``unix:`` means; those of a name that have no value are left out."""
    if entry not in NAMED:
        return [expand(entry, values)]
    paths = []
    for template in NAMED[entry][0]:
        try:
            paths.append(expand(template, values))
        except ValueError:
            continue
    return paths


def acts_as_user(entry: str, path: str, values: Mapping[str, str]) -> bool:
    """Return whether this socket would let an agent act as the user (so that only ``global.yaml`` may let it in)."""
    if entry in NAMED:
        return True
    tops = [values[name] for name in ("NAMESPACE", "XDG_RUNTIME_DIR") if values.get(name)]
    if beneath_any(path, [*tops, "/run/user", "/run/systemd", "/tmp", values.get("HOME") or "/home"]):
        return True
    return any(fnmatch.fnmatchcase(os.path.basename(path), pattern) for pattern in _ACTING)


def unreachable(path: str, values: Mapping[str, str]) -> bool:
    """Return whether nothing may let this socket in: the user's own 9P socket, a tmux server, that of the daemon among
    them.
    """
    ours = [os.path.join(top, name) for top in _namespaces(values) for name in ("agent", "anvillm.tmux")]
    if path in ours or os.path.basename(os.path.dirname(path)).startswith("tmux-"):
        return True
    return path in (values.get("TMUX", "").split(",")[0], values["NAMESPACE"])


def _namespaces(values: Mapping[str, str]) -> set[str]:
    return {values["NAMESPACE"], os.path.realpath(values["NAMESPACE"])}


def directories_of_tmux(values: Mapping[str, str]) -> list[str]:
    """Return where tmux servers of the user listen."""
    found = {f"/tmp/tmux-{os.getuid()}", os.path.dirname(values.get("TMUX", "").split(",")[0])}
    if values.get("TMUX_TMPDIR"):
        found.add(f"{values['TMUX_TMPDIR']}/tmux-{os.getuid()}")
    return sorted(path for path in found if path)
