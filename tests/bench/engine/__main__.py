"""`python -m tests.bench.engine`: the edge engine beside llama-cpp-python and llama.cpp's own server, in one run.

Writes build/bench/engine.json; `--markdown` prints the tables of edge/README.md from it.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from edge import models
from tests.bench.engine import report
from tests.bench.engine.plan import CONTENDERS, FULL, QUICK
from tests.bench.engine.run import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of little, in three minutes: does it work?")
    parser.add_argument("--rounds", type=int, help="how many rounds the medians are of")
    parser.add_argument("--contenders", help=f"some of {','.join(CONTENDERS)}")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every contender; default all")
    parser.add_argument("--model", default=models.SMOLLM2.name, help="of the catalogue, or a .gguf file")
    parser.add_argument("--out", type=Path, default=Path("build/bench/engine.json"))
    parser.add_argument("--markdown", action="store_true", help="print the tables of the last run, and run nothing")
    arguments = parser.parse_args()
    out: Path = arguments.out
    if arguments.markdown:
        print(report.markdown(json.loads(out.read_text(encoding="utf-8"))))
        return
    plan = QUICK if arguments.quick else FULL
    if arguments.rounds:
        plan = replace(plan, rounds=arguments.rounds)
    if arguments.contenders:
        wanted = arguments.contenders.split(",")
        plan = replace(plan, contenders=tuple(name for name in CONTENDERS if name in wanted))
    out.parent.mkdir(parents=True, exist_ok=True)
    result = run(
        plan,
        models.locate(arguments.model),
        threads=arguments.threads,
        log=out.with_suffix(".log"),
        may_build=not arguments.quick,
    )
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["summary"], indent=1))


if __name__ == "__main__":
    main()
