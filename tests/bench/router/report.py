"""What is told of a run: the figures that the documents quote, by their names, and the tables of router/arbiter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.bench.router.tables import Row

TARGETS = {
    "mmlu_5fold.apgr": ">= 0.635",
    "mmlu_1500.apgr": ">= 0.59",
    "mmlu_across.apgr": ">= 0.57",
    "mmlu_across.minus_length_lo": "> 0",
    "gsm8k_pre.apgr": "not below length",
    "gsm8k_post.apgr": ">= 0.75",
    "gsm8k_post.cpt50": "<= 19",
    "pareto_gemini.apgr": ">= 0.64",
    "pareto_mistral.apgr": ">= 0.62",
    "cascade.minus_best_alone": "> 0",
    "edge_trust.auroc": ">= 0.80",
    "edge_trust.ece": "<= 0.03",
    "decision_us_p50": "<= 50",
    "end_to_end_ms_p50": "<= 10",
}
_SETS = {
    "mmlu_5fold": "MMLU, 29 subjects, Mixtral-8x7B and GPT-4, 5 folds",
    "mmlu_1500": "the same, from 1,500 graded questions",
    "gsm8k_pre": "GSM8K, before an answer is written",
    "gsm8k_post": "GSM8K, after the weak answer is written",
    "pareto_gemini": "ParetoBandit, Llama-3.1-8B and Gemini-2.5-Pro",
    "pareto_mistral": "ParetoBandit, Llama-3.1-8B and Mistral-Large",
}
_COLUMNS = ("random", "length", "tfidf", "embedding", "prior", "format", "ours", "oracle")


def summary(found: Sequence[Row]) -> dict[str, float | None]:
    """None for what was not measured."""

    def of(table: str, figure: Callable[[Row], float], **where: object) -> float | None:
        wanted = {"table": table, **where}
        return next((figure(row) for row in found if wanted.items() <= row.items()), None)

    def area(row: Row) -> float:
        return float(row["apgr"]["value"])

    def gains_most(table: str) -> float | None:
        """At the prices at which both together surely gain most over the better one alone."""
        both = [row["difference"] for row in found if row["table"] == table and row.get("way") == "both"]
        return max(both, key=lambda one: float(one["lo"]))["value"] if both else None

    areas = [key.removesuffix(".apgr") for key in TARGETS if key.endswith(".apgr")]
    measured = {
        **{f"{table}.apgr": of(table, area, router="ours") for table in areas},
        "mmlu_across.minus_length_lo": of("mmlu_across", lambda row: float(row["minus_length"]["lo"]), router="ours"),
        "gsm8k_post.cpt50": of("gsm8k_post", lambda row: float(row["cpt50"]), router="ours"),
        "cascade.minus_best_alone": gains_most("cascade_gsm8k"),
        "edge_trust.auroc": of("edge_trust", lambda row: float(row["auroc"]["value"]), judge="ours", set="all"),
        "edge_trust.ece": of("edge_trust", lambda row: float(row["ece"]), judge="ours", set="all"),
        "decision_us_p50": of("speed", lambda row: float(row["p50"]), what="decision_us"),
        "end_to_end_ms_p50": of("speed", lambda row: float(row["p50"]), what="end_to_end_ms"),
    }
    return {key: measured[key] for key in TARGETS}


def markdown(result: dict[str, Any]) -> str:
    return "\n".join(_lines(result))


def _lines(result: dict[str, Any]) -> Iterator[str]:
    rows: list[Row] = result["rows"]
    yield f"{result['machine']}; commit {result['commit']}."
    yield from ("", "| | wanted | measured |", "|---|---|---|")
    for key, wanted in TARGETS.items():
        value = result["summary"].get(key)
        yield f"| `{key}` | {wanted} | {'not measured' if value is None else f'{value:.3f}'} |"
    yield from ("", f"| APGR | {' | '.join(_COLUMNS)} | ours less the best simple one (95 %) |")
    yield f"|{'---|' * (len(_COLUMNS) + 2)}"
    for table, name in _SETS.items():
        some = {row["router"]: row for row in rows if row["table"] == table}
        if some:
            areas = " | ".join(f"{some[one]['apgr']['value']:.3f}" if one in some else "" for one in _COLUMNS)
            ours = some["ours"]
            yield f"| {name} | {areas} | {_interval(ours['difference'], '+')} ({ours['against']}) |"
    across = {row["router"]: row for row in rows if row["table"] == "mmlu_across"}
    if across:
        areas = " | ".join(f"{across[one]['apgr']['value']:.3f}" if one in across else "" for one in _COLUMNS)
        less, splits = _interval(across["ours"]["minus_length"], "+"), across["ours"]["splits"]
        yield f"| MMLU, subjects that were not learned from, {splits} splits | {areas} | {less} (length) |"
    yield from _trust(rows)
    yield from _spending(rows)
    yield from ("", "| time of a decision | p50 | p95 |", "|---|---|---|")
    for row in rows:
        if row["table"] == "speed":
            yield f"| `{row['what']}` | {row['p50']:.1f} | {row['p95']:.1f} |"


def _trust(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("", "| trust in real answers | answers | right | AUROC (95 %) | ECE, debiased | Brier |")
    yield "|---|---|---|---|---|---|"
    for row in rows:
        if row["table"] == "edge_trust":
            figures = f"{_interval(row['auroc'])} | {row['ece']:.3f} | {row['brier']:.3f}"
            yield f"| {row['judge']}: {row['set']} | {row['n']} | {row['right']:.0%} | {figures} |"


def _spending(rows: Sequence[Row]) -> Iterator[str]:
    columns = "before | after | both | both less the better (95 %)"
    yield from ("", f"| gap recovered over USD spent (area) | a weak answer costs | {columns} |")
    yield "|---|---|---|---|---|---|"
    for table, name in (("cascade_gsm8k", "Mixtral-8x7B and GPT-4"), ("cascade_openai", "6B and 175B, best of 100")):
        some = [row for row in rows if row["table"] == table]
        for costs in dict.fromkeys(row["weak_costs"] for row in some):
            ways = {row["way"]: row for row in some if row["weak_costs"] == costs}
            areas = " | ".join(f"{ways[way]['area']['value']:.3f}" for way in ("before", "after", "both"))
            less = _interval(ways["both"]["difference"], "+")
            yield f"| GSM8K, {name} | {costs:.0%} of a strong one | {areas} | {less} |"


def _interval(found: dict[str, float], sign: str = "") -> str:
    return f"{found['value']:{sign}.3f} ({found['lo']:{sign}.3f} to {found['hi']:{sign}.3f})"
