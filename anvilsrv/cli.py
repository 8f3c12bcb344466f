"""Forwards to programs/cli.py: a daemon of version 0.1 replaces itself by ``-m anvilsrv.cli``; goes with the version after the next."""

from anvilsrv.programs.cli import main

if __name__ == "__main__":
    main()
