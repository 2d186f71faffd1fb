"""Presidio, a detector with a language model, beside our own: an extra, off by default, and slow.

It finds names of persons, which ours do not look for, and so keeps many questions here that could go. Its model is
never downloaded from here: that would be egress, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgewise.errors import NotReady

MODEL = "en_core_web_sm"
_LANGUAGE = "en"
_LEAST_SCORE = 0.5
# What public questions are full of.
_NOTHING_PRIVATE = frozenset({"DATE_TIME", "LOCATION", "NRP", "ORGANIZATION", "URL"})


class Result(Protocol):
    """`presidio_analyzer.RecognizerResult`, as far as it is read."""

    @property
    def entity_type(self) -> str: ...

    @property
    def score(self) -> float: ...


class Analyzer(Protocol):
    """`presidio_analyzer.AnalyzerEngine`, as far as it is used."""

    def analyze(self, text: str, language: str) -> Sequence[Result]: ...


class Presidio:
    name = "presidio"
    takes_long = True

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer

    @staticmethod
    def open() -> Presidio:
        """Loads its model, which takes seconds. NotReady says what to install."""
        try:
            import spacy
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import NlpEngineProvider
        except ImportError:
            needed = "privacy.presidio is set, which needs Presidio"
            raise NotReady(f"{needed}; install it with pip install 'edgewise[privacy]'") from None
        if not spacy.util.is_package(MODEL):
            needed = f"privacy.presidio is set, and its model {MODEL} is not installed"
            raise NotReady(f"{needed}; install it with python -m spacy download {MODEL}")
        models = [{"lang_code": _LANGUAGE, "model_name": MODEL}]
        provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
        return Presidio(AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=[_LANGUAGE]))

    def look(self, text: str) -> str | None:
        found = {one.entity_type for one in self._analyzer.analyze(text, _LANGUAGE) if one.score >= _LEAST_SCORE}
        kinds = sorted(kind.replace("_", " ").lower() for kind in found - _NOTHING_PRIVATE)
        return f"what Presidio calls {kinds[0]}" if kinds else None
