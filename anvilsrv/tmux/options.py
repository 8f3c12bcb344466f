"""How our tmux server is started and set up: tables."""

SESSION = "anvillm"
GREETING = "The agents of AnviLLM are in the other windows: C-b w"
HOLDER = ("sh", "-c", f"printf '{GREETING}\\r\\n'; exec cat")  # the first window

OPTIONS = (
    ("-s", "exit-empty", "on"),  # earlier versions had it off
    ("-s", "escape-time", "20"),
    ("-s", "set-clipboard", "off"),
    ("-g", "remain-on-exit", "on"),
    ("-g", "history-limit", "20000"),
    ("-g", "default-size", "200x50"),
    ("-g", "set-titles", "off"),
    ("-g", "automatic-rename", "off"),
    ("-g", "allow-rename", "off"),
    ("-g", "mouse", "on"),
    ("-g", "detach-on-destroy", "on"),
    ("-g", "update-environment", ""),
    ("-g", "status-left", "#[bold] AnviLLM #[default] "),
    ("-g", "status-left-length", "20"),
    ("-g", "status-right", " C-b d leaves the agent running "),
    ("-g", "status-right-length", "40"),
)

# What tmux tells without being asked, within a second: see ``%subscription-changed`` in tmux(1) and ``events``.
SUBSCRIPTIONS = (
    ("titles", "#{pane_title}"),
    ("deaths", "#{pid} #{pane_pid} #{pane_dead} #{pane_dead_status} #{pane_dead_signal}"),
)
