"""How often the agent's first choice of a tool is right: `python -m tests.bench.tools`.

The questions are our own, and none was looked at while the tools' descriptions were written. Looking into the library
counts as right where the documents do: nothing in the question says which of them knows.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from edge import models
from edge.llama.engine import LlamaEngine
from edgewise.types import Text
from router import prompts
from router.tools import PURPOSES

_LOOK_UP = {"search", "library"}


async def measure() -> dict[str, object]:
    lines = (Path(__file__).parent / "tool_questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [(row["question"], row["tool"]) for row in map(json.loads, lines)]
    names = tuple(PURPOSES)
    engine = await LlamaEngine.open(models.locate("smollm2-135m-instruct-q4_1"))
    anyway = (await engine.score(prompts.tool_choice(Text.ours("N/A"), PURPOSES, ()), names)).logprobs
    rows = []
    for question, wanted in asked:
        here = (await engine.score(prompts.tool_choice(Text.ours(question), PURPOSES, ()), names)).logprobs
        gains = {name: one - other for name, one, other in zip(names, here, anyway, strict=True)}
        chosen = max(gains, key=gains.__getitem__)
        right = chosen == wanted or (wanted == "search" and chosen in _LOOK_UP)
        rows.append({"question": question, "tool": wanted, "chosen": chosen, "right": right})
    await engine.close()
    return {
        "rows": rows,
        "summary": {"tool_choice": sum(bool(row["right"]) for row in rows) / len(rows), "n": len(rows)},
    }


if __name__ == "__main__":
    result = asyncio.run(measure())
    out = Path("build/bench/tools.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"name": "tools", **result}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["summary"]))
