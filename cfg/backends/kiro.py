"""Which of Kiro's two forms of hooks reports, and whether ours are installed."""

import re
from dataclasses import replace
from pathlib import Path

from anvilsrv.backends.backend import Launch, Peculiarity, Place
from anvilsrv.linux import beneath

MARK = "kiro/directory"


class Kiro(Peculiarity):
    """See ``kiro-tui.yaml``."""

    def launch(self, place: Place, resume: bool) -> Launch:
        """3.x runs hooks of both forms: one of them is to report. Kiro resumes what is newest in a directory, so with another
        session in the same one a new conversation begins rather than someone else's."""
        found = re.search(r"(\d+)\.\d+", self.backend.version())
        form = "3" if found and int(found[1]) >= 3 else "2"
        made = super().launch(place, resume and not shared(place))
        env = {"ANVILLM_KIRO": form, "ANVILLM_KIRO_HOOK": str(self.backend.values(place)["HOOK"][-1])}
        return replace(made, env={**made.env, **env}, data={**made.data, MARK: place.cwd})

    def available(self) -> str:
        """Not without its hooks: a prompt could never be confirmed."""
        why = super().available()
        if why == "ok" and not (Path.home() / ".kiro" / "agents" / "anvillm.json").exists():
            return "its hooks are missing: run kiro-cli/install-hooks.sh of this installation"
        return why


def shared(place: Place) -> bool:
    """Whether another session of this daemon has run Kiro in the same directory."""
    data = Path(place.data_dir)
    for other in data.parent.parent.glob("*/data"):
        if other != data and beneath.exists(other, MARK):
            with open(beneath.read(other, MARK), encoding="utf-8", errors="replace") as file:
                if file.read(4096) == place.cwd:
                    return True
    return False
