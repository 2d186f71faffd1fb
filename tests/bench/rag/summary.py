"""The figures of a run that the documents quote, by their names; None for what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.models import E5, MINILM

Row = dict[str, Any]


def summary(rows: Sequence[Row]) -> dict[str, float | None]:
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
        "rss_mb_100k": _get(rows, "rss_mb", measured="large", store="chroma"),
        "rss_mb_100k_sqlite": _get(rows, "rss_mb", measured="large", store="sqlite"),
    }


def _get(rows: Sequence[Row], figure: str, name: str = "", **wanted: object) -> float | None:
    """Of the first row that has these fields, and whose set begins with that name."""
    for row in rows:
        is_set = str(row.get("set", "")).startswith(name)
        if figure in row and is_set and all(row.get(field) == value for field, value in wanted.items()):
            return float(row[figure])
    return None
