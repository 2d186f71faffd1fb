"""What is told of a run: the figures that the documents quote, by their names, and the tables of edge/README.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edge.models import E5, MINILM

Row = dict[str, Any]

TARGETS = {
    "xquad_en_2wiki.recall5": ">= 0.975",
    "xquad_en_2wiki.ndcg10": ">= 0.955",
    "hotpotqa.recall5": ">= 0.85",
    "hotpotqa.allgold5": ">= 0.70",
    "xquad_zh.recall5": ">= 0.99",
    "noanswer.auc": ">= 0.98",
    "noanswer.near_auc": ">= 0.88",
    "answers.closed": "",
    "answers.oracle": "",
    "answers.retrieved": ">= 0.48",
    "answers.retrieved_f1": ">= 0.40",
    "answers.noisy": "retrieved - 0.03 or more",
    "answers.unanswerable_refused": ">= 0.80",
    "answers.answerable_refused": "<= 0.10",
    "query_p50_ms_6k": "< 15",
    "query_p50_ms_100k": "< 40",
    "ingest_passages_per_s": ">= 25 a core",
    "watched_max_s": "< 2",
    "rss_mb_100k": "< 1,200",
    "rss_mb_100k_sqlite": "< 500",
}
_ARMS = {
    "closed": "no passage",
    "oracle": "the passages with the answer",
    "half": "one of the two passages that are needed",
    "retrieved": "what is retrieved",
    "noisy": "the right passages behind four others, those of the same article first",
    "unanswerable": "what is retrieved when the article is gone",
    "counterfactual": "a passage that says something else than is true; right is what it says",
}


def summary(rows: Sequence[Row]) -> dict[str, float | None]:
    """None for what was not measured."""
    english = {"embedder": MINILM.name, "order": "edgewise"}
    hops = {"measured": "retrieval", "others": 0, **english}
    return {
        "xquad_en_2wiki.recall5": _get(rows, "recall5", "xquad_en", measured="retrieval", **english),
        "xquad_en_2wiki.ndcg10": _get(rows, "ndcg10", "xquad_en", measured="retrieval", **english),
        "hotpotqa.recall5": _get(rows, "recall5", "hotpotqa", **hops),
        "hotpotqa.allgold5": _get(rows, "allgold5", "hotpotqa", **hops),
        "xquad_zh.recall5": _get(rows, "recall5", "xquad_zh", measured="retrieval", embedder=E5.name, order="edgewise"),
        "noanswer.auc": _get(rows, "auc", "xquad_en", embedder=MINILM.name, without="article_gone"),
        "noanswer.near_auc": _get(rows, "auc", "xquad_en", embedder=MINILM.name, without="passage_gone"),
        "answers.closed": _get(rows, "contained", "xquad_en", arm="closed"),
        "answers.oracle": _get(rows, "contained", "xquad_en", arm="oracle"),
        "answers.retrieved": _get(rows, "contained", "xquad_en", arm="retrieved"),
        "answers.retrieved_f1": _get(rows, "f1", "xquad_en", arm="retrieved"),
        "answers.noisy": _get(rows, "contained", "xquad_en", arm="noisy"),
        "answers.unanswerable_refused": _get(rows, "refused", "xquad_en", arm="unanswerable"),
        "answers.answerable_refused": _get(rows, "refused", "xquad_en", arm="retrieved"),
        "query_p50_ms_6k": _get(rows, "p50_ms", "xquad_en", measured="query", embedder=MINILM.name),
        "query_p50_ms_100k": _get(rows, "query_p50_ms", measured="large", store="chroma"),
        "ingest_passages_per_s": _get(rows, "per_core_s", measured="ingest"),
        "watched_max_s": _get(rows, "max_s", measured="watched"),
        "rss_mb_100k": _get(rows, "rss_mb", measured="large", store="chroma"),
        "rss_mb_100k_sqlite": _get(rows, "rss_mb", measured="large", store="sqlite"),
    }


def markdown(result: dict[str, Any]) -> str:
    """What stands between the markers of edge/README.md."""
    lines = [
        "<!-- bench-rag: `python -m tests.bench.rag --markdown` -->",
        f"{result['machine']}; commit {result['commit']}.",
        "",
        "| | wanted | measured |",
        "|---|---|---|",
        *(f"| `{key}` | {wanted} | {_shown(result['summary'][key])} |" for key, wanted in TARGETS.items()),
        *_retrieval(_measured(result, "retrieval")),
        *_refusals(_measured(result, "noanswer")),
        *_answers(_measured(result, "answers")),
        "<!-- /bench-rag -->",
    ]
    return "\n".join(lines)


def _measured(result: dict[str, Any], arm: str) -> list[Row]:
    return [row for row in result["rows"] if row["measured"] == arm]


def _retrieval(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "| retrieval | n | recall@5 | all gold@5 | nDCG@10 | recall@5 of the fusion alone | of words | of vectors |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(map(_named, rows)):
        orders = {row["order"]: row for row in rows if _named(row) == name}
        ours, *parts = (orders[order] for order in ("edgewise", "fusion without weighing", "words", "vectors"))
        figures = [ours["recall5"], ours["allgold5"], ours["ndcg10"], *(part["recall5"] for part in parts)]
        yield f"| {name} | {ours['n']} | {' | '.join(map(_shown, figures))} |"


def _refusals(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("", "| the gate | gone | AUC | refused | answerable refused |", "|---|---|---|---|---|")
    for row in rows:
        figures = (_shown(row[key]) for key in ("auc", "refused", "answerable_refused"))
        yield f"| {_named(row)} | {row['without'].replace('_gone', '')} | {' | '.join(figures)} |"


def _answers(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("", "| answers from | n | contained | F1 | refused | s a question |", "|---|---|---|---|---|---|")
    for name in dict.fromkeys(map(_named, rows)):
        yield f"| **{name}** | | | | | |"
        for row in rows:
            if _named(row) == name:
                figures = (_shown(row[key]) for key in ("contained", "f1", "refused", "s_per_question"))
                yield f"| {_ARMS[row['arm']]} | {row['n']} | {' | '.join(figures)} |"


def _named(row: Row) -> str:
    among = f" among {row['others']:,} others" if row["others"] else ""
    return f"{row['set']}{among}, {row['embedder']}"


def _shown(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.3f}" if value < 1 else f"{value:,.1f}" if value % 1 else f"{value:,.0f}"


def _get(rows: Sequence[Row], figure: str, name: str = "", **wanted: object) -> float | None:
    """Of the first row that has these fields, and whose set begins with that name."""
    for row in rows:
        is_set = str(row.get("set", "")).startswith(name)
        if figure in row and is_set and all(row.get(field) == value for field, value in wanted.items()):
            return float(row[figure])
    return None
