"""Forwards to inside/shellagent.py, for what was started or configured by version 0.1; goes with the version after the next."""

import os
import runpy

if __name__ == "__main__":
    runpy.run_path(
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside", "shellagent.py"), run_name="__main__"
    )
