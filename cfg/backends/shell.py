"""What the shell agent does otherwise than its YAML can say: what is long in JSON comes in base64."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from anvilsrv.backends.backend import Peculiarity, Report


class Shell(Peculiarity):
    """See ``shell.yaml``."""

    def report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """Its text, whichever way it comes; what is not base64 counts as no text."""
        coded = payload.get("base64")
        if isinstance(coded, str):
            try:
                data = base64.b64decode(coded, validate=True)
            except (binascii.Error, ValueError):
                data = b""
            payload = {**payload, "text": data.decode("utf-8", "surrogateescape")}
        return super().report(hook, payload)
