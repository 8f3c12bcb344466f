"""Times as a person reads them."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any


def when(stamp: Any) -> str:
    """Return a time of the daemon (seconds, or ISO 8601) as a person in this place reads it."""
    try:
        moment = datetime.fromtimestamp(stamp) if isinstance(stamp, int | float) else datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return str(stamp or "-")
    moment = moment.astimezone()
    today = time.strftime("%Y-%m-%d")
    return f"{moment:%H:%M}" if f"{moment:%Y-%m-%d}" == today else f"{moment:%Y-%m-%d %H:%M}"
