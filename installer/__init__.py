"""The parts of ``./install``. Imported from the source tree, by whatever Python is there: the standard library alone."""
