"""`python -m tests.bench.router.ship [--record FILE]`: trains what Edgewise comes with.

All of it is learned from real answers of the default edge model (--record, of `python -m tests.bench.router.record`):
the expected gain from questions that were asked without a passage, as if the cloud were always right; trust from all
answers. Writes router/arbiter/shipped/.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.embedder import Embedder
from edge.models import MINILM
from router.arbiter import arbiter
from router.arbiter.labels import Labels
from router.arbiter.metrics import Outcomes, auroc, ece
from router.arbiter.training import fit_gain, fit_trusts
from tests.bench.router.record import KEPT, graded
from tests.bench.router.vectors import embedded

_SHIPPED = Path("router/arbiter/shipped")


def closed_book(record: Labels) -> Labels:
    """The questions that were asked without a passage, the cloud taken to be right."""
    labels = record.take(np.flatnonzero([not answer.facts for answer in record.answers]))
    weak = labels.outcomes.weak
    return replace(labels, outcomes=Outcomes(weak, np.ones_like(weak)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, default=KEPT)
    arguments = parser.parse_args()
    embedder = Embedder.open(MINILM.name)
    pair = "SmolLM2-135M-Instruct (NQ-open, own facts) and a cloud that is taken to be right"
    try:
        record = graded(arguments.record)
        labels = closed_book(record)
        vectors = asyncio.run(embedded(embedder, labels.prompts))
        gain = fit_gain(labels, vectors, embedder.model_hash, pair)
        gain.save(_SHIPPED / arbiter.GAIN)
        expected = gain.held_out[:, 0]
        print(f"{arbiter.GAIN}: AUROC {auroc(-expected, labels.outcomes.weak):.3f} of the edge being right")
        texts = [answer.text.strip() or "." for answer in record.answers]
        vectors = asyncio.run(embedded(embedder, texts))
        about = "SmolLM2-135M-Instruct (XQuAD, NQ-open, own facts)"
        for name, trust in fit_trusts(record, vectors, embedder.model_hash, about).items():
            assert trust is not None
            trust.save(_SHIPPED / name)
            expected, right = trust.held_out.T
            print(f"{name}: AUROC {auroc(expected, right):.3f}, ECE {ece(expected, right):.3f} on held-out articles")
    finally:
        embedder.close()


if __name__ == "__main__":
    main()
