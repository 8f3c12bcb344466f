import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk.parts import Parts


@pytest.fixture
def parts() -> Iterator[Parts]:
    """The core of a daemon. What the store could tell nobody is an error of the test, unless the test takes it away."""
    # in memory where there is such a place: nothing here is about the disk
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as top:
        made = Parts(Path(top))
        try:
            yield made.start()
        finally:
            made.close()
        assert made.errors == []
