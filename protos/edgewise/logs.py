"""Where servers log to."""

from __future__ import annotations

import logging
import sys


def log_to_stderr() -> None:
    """From INFO on. What no line shows is not asked of the system for each (Python's logging HOWTO, Optimization)."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
