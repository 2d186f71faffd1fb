"""What is asked, in which modes, while what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from typing import Literal

from edgewise.types import Privacy, Question, Sampling, Text, Turn, Upload
from router.leaktest.marks import Mark, Marks
from router.leaktest.secrets import HARMLESS, HELD
from router.leaktest.sinks import Fault
from router.modes import MODES

VARIANTS = tuple("+".join((name, *option)) for name, mode in MODES.items() for option in ((), *zip(mode.options)))
"""All modes, and each with each of its options."""
STAY = tuple(name for name in VARIANTS if name.startswith("edge_only"))
ALWAYS_ASK = tuple(name for name in VARIANTS if name not in {*STAY, "agent"})
"""Modes that ask the cloud about everything that may leave, as the leak test sets them. The agent has a choice."""
FAULTS: tuple[Fault, ...] = ("refused", "hang", "error", "overloaded", "cut", "cut after a token")

_SHORT = Sampling(max_tokens=8)
Kind = Literal["private", "held", "public", "harmless"]
"""`private` by its label or by that of what it is asked about; `held` by a detector or by `privacy.unknown = hold`;
`public` by its label; `harmless`: unlabelled, and nothing in it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Some questions, asked one after the other, the last of them in `mode`; where in them the secret is."""

    mark: Mark
    kind: Kind
    place: str
    mode: str
    questions: tuple[Question, ...]

    @property
    def may_leave(self) -> bool:
        return self.kind in {"public", "harmless"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Probes that are asked while the sinks have a fault, and maybe while the edge is killed."""

    fault: Fault
    probes: tuple[Probe, ...]
    kills_edge: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one policy. Documents come before the first question; they are private, or unlabelled under `hold`."""

    unknown: Literal["allow", "hold"]
    documents: tuple[Upload, ...]
    batches: tuple[Batch, ...]

    @property
    def probes(self) -> Iterator[Probe]:
        return chain.from_iterable(batch.probes for batch in self.batches)

    @property
    def questions(self) -> int:
        return sum(len(probe.questions) for probe in self.probes)


class Planner:
    def __init__(self, seed: int, *, quick: bool) -> None:
        self._marks = Marks(seed)
        self._quick = quick

    def allow(self) -> Plan:
        """Unlabelled questions may leave unless a detector objects."""
        documents: list[Upload] = []
        calm = [*self._in(self._some(VARIANTS), self._labelled, self._in_history, self._in_conversation)]
        for mode in self._some(VARIANTS):
            calm += [self._about_a_document(mode, documents), self._after_a_document(mode, documents)]
        calm += [*self._held(), *self._controls(self._marks)]
        batches = [Batch("none", tuple(calm))]
        modes = ("cloud_only", "post_arbitration", "auto") if self._quick else ALWAYS_ASK
        for fault in FAULTS[:: 2 if self._quick else 1]:
            asked = [*self._in(modes, self._labelled, self._in_history)]
            asked += [self._about_a_document(mode, documents) for mode in modes]
            batches.append(Batch(fault, tuple(asked)))
        killed = tuple(self._in(("cloud_only", "post_arbitration", "auto", "agent"), self._labelled))
        batches.append(Batch("none", killed, kills_edge=True))
        return Plan("allow", tuple(documents), tuple(batches))

    def hold(self) -> Plan:
        """Only what is labelled public may leave, whatever detectors say."""
        probes = [*self._in(self._some(VARIANTS), self._unlabelled)]
        probes += [self._asked("public", mode, Privacy.PUBLIC) for mode in self._some(ALWAYS_ASK)]
        return Plan("hold", (), (Batch("none", tuple(probes)),))

    # --- one probe ----------------------------------------------------------------------------------------------------

    def _asked(self, kind: Kind, mode: str, label: Privacy) -> Probe:
        secret = self._marks.words()
        return Probe(
            Mark(secret), kind, "question", mode, (_question(f"What do you know about {secret}?", mode, label),)
        )

    def _labelled(self, mode: str) -> Probe:
        return self._asked("private", mode, Privacy.PRIVATE)

    def _unlabelled(self, mode: str) -> Probe:
        return self._asked("held", mode, Privacy.UNKNOWN)

    def _in_history(self, mode: str) -> Probe:
        secret = self._marks.words()
        said = Turn(role="user", text=Text(value=f"They call me {secret}.", label=Privacy.PRIVATE))
        asked = _question("What did I just tell you?", mode, Privacy.PUBLIC)
        return Probe(Mark(secret), "private", "history", mode, (asked.model_copy(update={"history": (said,)}),))

    def _in_conversation(self, mode: str) -> Probe:
        secret = self._marks.words()
        first = _question(f"They call me {secret}.", "edge_only", Privacy.PRIVATE)
        return Probe(Mark(secret), "private", "conversation", mode, _talk(secret, first, mode))

    def _about_a_document(self, mode: str, documents: list[Upload]) -> Probe:
        """A public question about a private document."""
        asked, secret = self._document(documents)
        return Probe(Mark(secret), "private", "document", mode, (_question(asked, mode, Privacy.PUBLIC),))

    def _after_a_document(self, mode: str, documents: list[Upload]) -> Probe:
        """A public question in a conversation in which the device has answered from a private document."""
        asked, secret = self._document(documents)
        first = _question(asked, "edge_only+rag", Privacy.PUBLIC)
        return Probe(Mark(secret), "private", "answer from a document", mode, _talk(secret, first, mode))

    def _document(self, documents: list[Upload]) -> tuple[str, str]:
        """A question that a new document answers, and the secret in it."""
        place, secret = self._marks.words(1), self._marks.words()
        text = f"The code of the {place} vault is {secret}.\n"
        documents.append(Upload(source=f"{place}.md", data=text.encode(), label=Privacy.PRIVATE))
        return f"What is the code of the {place} vault?", secret

    # --- many ---------------------------------------------------------------------------------------------------------

    def _in(self, modes: Sequence[str], *make: Callable[[str], Probe]) -> Iterator[Probe]:
        return (one(mode) for mode in modes for one in make)

    def _some(self, modes: Sequence[str]) -> Sequence[str]:
        """Every mode; in a hurry those that differ most."""
        return [mode for mode in modes if "+" not in mode or mode == "cloud_only+rag"] if self._quick else modes

    def _held(self) -> Iterator[Probe]:
        """Every kind of secret in every mode; in a hurry each in one of them."""
        turns = cycle(ALWAYS_ASK)
        for what, draw in HELD.items():
            for mode in (next(turns),) if self._quick else (*ALWAYS_ASK, "agent"):
                text, mark = draw(self._marks)
                yield Probe(mark, "held", what, mode, (_question(text, mode, Privacy.UNKNOWN),))
        for mode in self._some(ALWAYS_ASK):
            text, mark = HELD["a card"](self._marks)
            said = Turn(role="user", text=Text(value=text))
            asked = _question("What did I just tell you?", mode, Privacy.UNKNOWN)
            yield Probe(mark, "held", "a card in the history", mode, (asked.model_copy(update={"history": (said,)}),))

    def _controls(self, marks: Marks) -> Iterator[Probe]:
        """What should leave, so that it shows if nothing does."""
        yield from (self._asked("public", mode, Privacy.PUBLIC) for mode in ALWAYS_ASK)
        turns = cycle(ALWAYS_ASK)
        for what, draw in HARMLESS.items():
            for mode in (next(turns),) if self._quick else self._some(ALWAYS_ASK):
                text, mark = draw(marks)
                yield Probe(mark, "harmless", what, mode, (_question(text, mode, Privacy.UNKNOWN),))


def _question(text: str, mode: str, label: Privacy) -> Question:
    return Question(text=text, mode=mode, privacy=label, sampling=_SHORT)


def _talk(name: str, first: Question, mode: str) -> tuple[Question, Question]:
    """The same conversation goes on, in another mode."""
    then = _question("Please say that once more.", mode, Privacy.PUBLIC)
    conversation = {"conversation_id": f"{name} {mode}"}
    return first.model_copy(update=conversation), then.model_copy(update=conversation)
