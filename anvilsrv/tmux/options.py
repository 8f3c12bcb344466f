"""How our tmux server is started and set up: tables.

The sizes of windows are ours: a window keeps its size when no one looks at it, and who looks at it with a very small terminal sees a
part of it. So a person on a telephone does not make an agent draw in a few columns, and stay there after he has gone. ``window-size
manual`` for all would do half of that, but with it tmux 3.3a crashes at the next window; each window is given a size of its own instead
(``resize-window``), and ``HOOKS`` fit it to the people who look. What agents print may set their title, and not the person's clipboard.
"""

SESSION = "anvillm"
GREETING = "The agents of AnviLLM are in the other windows: C-b w"
HOLDER = ("sh", "-c", f"printf '{GREETING}\\r\\n'; exec cat")  # the first window
WIDTH, HEIGHT = 200, 50  # of a window at which no one has looked yet
LEAST = (80, 24)
PID = "#{?pane_pid,#{pane_pid},#{@pid}}"  # from 3.8 tmux forgets the pid of a program that has ended
# In a terminal of another tmux or of screen, whose prefix may be the same key.
DETACH = "#{?#{m/r:^(tmux|screen),#{client_termname}},C-b d (C-b C-b d if your tmux uses C-b),C-b d}"

# What a pane's agent asks, how that is answered, and the file for it. It stands in the status line, though there is little room: so the
# pane keeps its size. An agent that is told of another one draws its screen again, and some draw it badly.
ASK, ANSWER, FILE = "@ask", "@answer", "@file"
# What a person calls the session of a window: its name stays the id, by which we find it.
LABEL = "@label"
NAME = f"#{{?{LABEL},#{{{LABEL}}},#W}}"
TAB = f"#I:{NAME}#{{?window_flags,#{{window_flags}}, }}"
LOUD = "#[fg=black bg=yellow bold]"
WIDE, FULL, SHORT = 120, 66, 32  # columns of a terminal that has room for the second, and of these two at the right
IS_WIDE = f"#{{e|>=:#{{client_width}},{WIDE}}}"

OPTIONS = (
    ("-s", "exit-empty", "on"),  # earlier versions had it off
    ("-s", "escape-time", "20"),
    ("-s", "set-clipboard", "external"),  # what a person selects, and not what a program sends
    ("-g", "remain-on-exit", "on"),
    ("-g", "history-limit", "20000"),
    ("-g", "default-size", f"{WIDTH}x{HEIGHT}"),
    ("-g", "set-titles", "off"),
    ("-g", "automatic-rename", "off"),
    ("-g", "allow-rename", "off"),
    ("-g", "mouse", "on"),
    ("-g", "detach-on-destroy", "on"),
    ("-g", "update-environment", ""),
    ("-g", "status-left", f"#{{?{ASK},#{{E:@asks}},#[bold] AnviLLM #[default] }}"),
    ("-g", "status-left-length", "1000"),
    ("-g", "status-right", f"#{{?{ASK},#{{E:@answers}}, {DETACH} leaves the agent running }}"),
    ("-g", "status-right-length", str(FULL)),
    ("-g", "window-status-format", TAB),
    ("-g", "window-status-current-format", TAB),
    ("-g", "@asks", f"{LOUD} #{{=/#{{e|-:#{{client_width}},#{{?{IS_WIDE},{FULL},{SHORT}}}}}/...:{ASK}}} #[default] "),
    ("-g", "@answers", f"{LOUD} #{{?{IS_WIDE},#{{{ANSWER}}},#{{{FILE}}}}} "),
)

# The list of windows, in which tmux has the names by itself.
_TITLE = '#{?#{!=:#{pane_title},#{host_short}},: "#{pane_title}",}'
_WINDOWS = "#{session_windows} windows#{?session_attached, (attached),}"
KEYS = (("w", "choose-tree", "-Zw", "-F", f"#{{?window_format,{NAME}#{{window_flags}}{_TITLE},{_WINDOWS}}}"),)

FIT = (
    "resize-window -A ; "
    f"if-shell -F '#{{e|<:#{{window_width}},{LEAST[0]}}}' 'resize-window -x {LEAST[0]}' ; "
    f"if-shell -F '#{{e|<:#{{window_height}},{LEAST[1]}}}' 'resize-window -y {LEAST[1]}'"
)
HOOKS = tuple(
    (name, FIT) for name in ("client-attached", "client-resized", "client-session-changed", "session-window-changed")
)

# What tmux tells without being asked, within a second: see ``%subscription-changed`` in tmux(1) and ``events``.
SUBSCRIPTIONS = (
    ("titles", "#{pane_title}"),
    ("deaths", f"#{{pid}} {PID} #{{pane_dead}} #{{pane_dead_status}} #{{pane_dead_signal}}"),
)
