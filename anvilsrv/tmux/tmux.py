"""Everything that can be asked of tmux."""

from anvilsrv.tmux.deaths import Deaths
from anvilsrv.tmux.input import Input
from anvilsrv.tmux.screen import Output


class Tmux(Deaths, Input, Output):
    """The tmux server at a socket: its life (``server``), windows, deaths and titles, input, screens."""
