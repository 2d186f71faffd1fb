"""`python -m tests.bench.compare.pack DIR`: the trace of `edgewise demo`, in DIR, as the pack that comes with Edgewise.

Packing the same trace twice gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from router import demo
from router.trace import Trace

_ABOUT = (
    "28 questions of our own about documents of our own, in eight modes. The edge is SmolLM2-135M-Instruct (4 bit); "
    "the cloud is a stand-in with the same weights, and its prices are notional."
)


def pack(directory: Path, out: Path) -> None:
    """InvalidInput where there is no whole trace."""
    trace = Trace.read(directory)
    head = trace.head.model_copy(update={"about": _ABOUT, "licence": "Apache-2.0"})
    lines = (directory / "trace.jsonl").read_bytes().splitlines(keepends=True)
    whole = b"".join([head.model_dump_json().encode() + b"\n", *lines[1:]])
    out.write_bytes(gzip.compress(whole, compresslevel=9, mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    pack(parser.parse_args().directory, demo.trace())


if __name__ == "__main__":
    main()
