"""From what the contenders did to rows, to the summary that the issue names, and to the tables of edge/README.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.bench.engine import figures
from tests.bench.engine.plan import CONTENDERS, ContenderName, Found, Measured, Visited

Round = dict[ContenderName, Visited]
Row = dict[str, Any]

TARGETS = {
    "single_prompt_ratio": ">= 0.97",
    "single_generation_ratio": ">= 0.97",
    "single_prompt_vs_repacked": "",
    "single_generation_vs_repacked": "",
    "short8_vs_lock": ">= 1.9",
    "short8_vs_server": ">= 1.0",
    "short8_ttft95_vs_lock": "<= 0.30",
    "long8_vs_lock": ">= 1.25",
    "long8_vs_server": ">= 1.0",
    "long8_ttft95_vs_lock": "<= 0.60",
    "long8_ttft95_vs_server": "<= 1.0",
    "warm_prefix_vs_cold": "<= 0.06",
    "kv_restore_ms": "<= 15",
    "logprob_overhead": "<= 0.02",
    "grammar_overhead": "<= 0.15",
    "loop_lag_p99_ms": "<= 5",
    "cancel_p99_s": "<= 0.2",
    "rss_vs_server": "<= 1.2",
    "idle_rss_mb": "",
    "joules_per_answer": "",
}
"""The keys of the summary, and what the engine wants to reach; ratios are ours to theirs."""

_PROBED = ("warm_prefix_vs_cold", "kv_restore_ms", "logprob_overhead", "grammar_overhead", "loop_lag_p99_ms")


def rows(rounds: Sequence[Round], found: Sequence[Found]) -> list[Row]:
    """A row a contender, workload and number of streams, with medians of its rounds; one a figure of ours alone; and
    one a contender that failed, with the reason."""
    made: list[Row] = []
    for name, what in CONTENDERS.items():
        visits = [visit for one in rounds if (visit := one.get(name)) is not None]
        errors = sorted({visit.error for visit in visits if visit.error})
        made += [{"contender": name, "what": what, "error": error} for error in errors]
        worked = [visit for visit in visits if not visit.error]
        if worked:
            made += [{"contender": name, "what": what, **row} for row in _rows(worked)]
    for one in found:
        figure = {"figure": one.name, "value": one.value, "note": one.note, "samples": list(one.samples)}
        made.append({"contender": "ours", "what": CONTENDERS["ours"], **figure})
    return made


def _rows(visits: Sequence[Visited]) -> Iterator[Row]:
    of_visit: Row = {
        "rounds": len(visits),
        "load_s": figures.middle([visit.load_s for visit in visits]),
        "idle_rss_mb": figures.middle([visit.idle.rss_mb if visit.idle else None for visit in visits]),
        "about": visits[0].about,
        "kernels": visits[0].kernels,
    }
    for workload, streams in dict.fromkeys((cell.workload, cell.streams) for cell in visits[0].cells):
        cells = [cell for visit in visits if (cell := _cell(visit, workload, streams))]
        samples = [figures.of(cell) for cell in cells]
        answers = [answer for cell in cells for answer in cell.answers]
        longest = max(answer.completion_tokens for answer in answers)
        yield {
            "workload": workload,
            "streams": streams,
            "answers": len(answers),
            "answers_that_ended_early": sum(answer.completion_tokens < longest for answer in answers),
            "others_busy": max((cell.others for cell in cells if cell.others is not None), default=None),
            **of_visit,
            **{key: figures.middle([sample[key] for sample in samples]) for key in samples[0]},
            "samples": {key: [sample[key] for sample in samples] for key in ("tokens_per_s", "ttft_p95_s")},
        }


def summary(rounds: Sequence[Round], found: Sequence[Found], most_streams: int) -> dict[str, float | None]:
    """The median of the ratios of the rounds; None where one side of a ratio is missing."""

    def ratio(key: str, workload: str, streams: int, peer: ContenderName) -> float | None:
        return figures.middle([_ratio(one, key, workload, streams, peer) for one in rounds])

    def many(key: str, workload: str, peer: ContenderName) -> float | None:
        return ratio(key, workload, most_streams, peer)

    probed = {one.name: one.value for one in found}
    ours = [visit for one in rounds if (visit := one.get("ours"))]
    energy = [_figure(visit, "joules_per_answer", "short", most_streams) for visit in ours]
    return {
        "single_prompt_ratio": ratio("prompt_tokens_per_s", "single", 1, "bare"),
        "single_generation_ratio": ratio("generated_tokens_per_s", "single", 1, "bare"),
        "single_prompt_vs_repacked": ratio("prompt_tokens_per_s", "single", 1, "bare_repacked"),
        "single_generation_vs_repacked": ratio("generated_tokens_per_s", "single", 1, "bare_repacked"),
        "short8_vs_lock": many("tokens_per_s", "short", "lock"),
        "short8_vs_server": many("tokens_per_s", "short", "server"),
        "short8_ttft95_vs_lock": many("ttft_p95_s", "short", "lock"),
        "long8_vs_lock": many("tokens_per_s", "long", "lock"),
        "long8_vs_server": many("tokens_per_s", "long", "server"),
        "long8_ttft95_vs_lock": many("ttft_p95_s", "long", "lock"),
        "long8_ttft95_vs_server": many("ttft_p95_s", "long", "server"),
        **{key: probed.get(key) for key in (*_PROBED, "cancel_p99_s")},
        "rss_vs_server": many("peak_mb", "long", "server"),
        "idle_rss_mb": figures.middle([visit.idle.rss_mb if visit.idle else None for visit in ours]),
        "joules_per_answer": figures.middle(energy),
    }


def markdown(result: dict[str, Any]) -> str:
    """What stands between the markers of edge/README.md."""
    measured = [row for row in result["rows"] if "workload" in row]
    streams = max((row["streams"] for row in measured), default=1)
    lines = ["<!-- bench-engine: `python -m tests.bench.engine --markdown` -->"]
    settings = result["settings"]
    lines += [f"{result['machine']}; commit {result['commit']}; medians of {settings['rounds']} rounds.", ""]
    if settings["noisy"]:
        lines += ["**The machine was not quiet: these ratios hold only roughly.**", ""]
    if not settings["trials"]:
        lines += ["Flash attention was off for all; nobody was tried with it.", ""]
    elif faster := [CONTENDERS[name] for name, s in settings["flash_attention_trials_s"].items() if s["on"] < s["off"]]:
        lines += [f"Flash attention, tried before the first round, was on for: {'; '.join(faster)}.", ""]
    absent = [what for name, what in CONTENDERS.items() if name not in settings["contenders"]]
    if absent:
        lines += [f"Not asked to take part: {'; '.join(absent)}.", ""]
    lines += [f"| | 1 stream, tok/s | {streams} streams, tok/s | TTFT p50 / p95, s | inter-token p95, ms | RSS, MB |"]
    lines += ["|---|---|---|---|---|---|"]
    for workload in dict.fromkeys(row["workload"] for row in measured if row["streams"] == streams):
        lines.append(f"| **{workload}** | | | | | |")
        for name, what in CONTENDERS.items():
            of_it = {r["streams"]: r for r in measured if r["contender"] == name and r["workload"] == workload}
            if streams in of_it:
                lines.append(_line(what, of_it.get(1, {}), of_it[streams]))
    lines += ["", "| | wanted | measured |", "|---|---|---|"]
    lines += [f"| `{key}` | {target} | {_shown(result['summary'].get(key), 3)} |" for key, target in TARGETS.items()]
    missing = {row["what"]: row["error"].splitlines()[-1] for row in result["rows"] if "error" in row}
    lines += ["", *(f"Not measured: {what} ({why})." for what, why in missing.items())]
    return "\n".join([*lines, "<!-- /bench-engine -->"])


def _line(what: str, alone: Row, many: Row) -> str:
    gap = many["inter_token_p95_s"]
    cells = [
        _shown(alone.get("tokens_per_s"), 0),
        _shown(many["tokens_per_s"], 0),
        f"{_shown(many['ttft_p50_s'], 2)} / {_shown(many['ttft_p95_s'], 2)}",
        _shown(None if gap is None else 1000 * gap, 0),
        _shown(many["peak_mb"], 0),
    ]
    return f"| {what} | {' | '.join(cells)} |"


def _shown(value: float | None, digits: int) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"


def _ratio(one: Round, key: str, workload: str, streams: int, peer: ContenderName) -> float | None:
    ours = _figure(one.get("ours"), key, workload, streams)
    theirs = _figure(one.get(peer), key, workload, streams)
    return None if ours is None or not theirs else ours / theirs


def _figure(visit: Visited | None, key: str, workload: str, streams: int) -> float | None:
    cell = _cell(visit, workload, streams) if visit else None
    return figures.of(cell)[key] if cell else None


def _cell(visit: Visited, workload: str, streams: int) -> Measured | None:
    return next((cell for cell in visit.cells if (cell.workload, cell.streams) == (workload, streams)), None)
