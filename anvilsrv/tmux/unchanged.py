"""A condition for tmux itself: a pane shows what it showed when we looked.

Between our look and our key a person may press another one. tmux compares and presses in one step, so the only ones that are not seen
are those that the program has not drawn yet.

What tmux can compare is the place of the cursor, and lines by a regular expression. Of a line the letters and digits of ASCII count:
nothing else means the same in every locale, in every version, and inside a format. Pure.
"""

import re
from collections.abc import Iterable
from functools import reduce

from anvilsrv.display import plain
from anvilsrv.tmux.screen import Screen

BETWEEN = "[^a-zA-Z0-9]*"
PIECE = re.compile("[a-zA-Z0-9]+")


def unchanged(screen: Screen, rows: Iterable[int]) -> str:
    """Return a format of tmux, true while the cursor and these rows (from 0) are as they are on that ``screen``."""
    lines = list(map(plain, screen.lines))
    same = [f"#{{==:#{{cursor_x}} #{{cursor_y}},{screen.x} {screen.y}}}"]
    for row in sorted({row for row in rows if row < len(lines)}):
        like = BETWEEN + "".join(piece + BETWEEN for piece in PIECE.findall(lines[row]))
        first = next(at for at, line in enumerate(lines) if re.fullmatch(like, line))  # tmux tells the first as well
        same.append(f"#{{==:#{{C/r:^{like}$}},{first + 1}}}")
    return reduce(lambda one, other: f"#{{&&:{one},{other}}}", same)
