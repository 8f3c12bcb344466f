"""Daemons of ours in other namespaces: which one is meant depends on ``$NAMESPACE`` and ``$DISPLAY``."""

import glob
import os
from typing import NamedTuple

from anvilsrv import paths
from anvilsrv.programs.place import Place


class Other(NamedTuple):
    """A daemon that holds another namespace."""

    place: Place
    pid: int


def others(place: Place) -> list[Other]:
    """Return those that hold a namespace where it is by default, other than ``place``."""
    found = []
    for path in sorted(glob.glob(f"/tmp/ns.{glob.escape(paths.user())}.*")):
        other = Place(path)
        if path != place.namespace and not os.path.islink(path) and (pid := other.holder()):
            found.append(Other(other, pid))
    return found


def lines(place: Place) -> list[str]:
    """Return a line for each, with what reaches it."""
    return [
        f"another anvilsrv {one.pid} serves {one.place.socket} (NAMESPACE={one.place.namespace})"
        for one in others(place)
    ]
