"""How much a sentence has to do with the question, and how a span stands to the question's words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.reader.page import Floats, Ints, Page, bounds, length, sums
from edge.reader.question import CONTENT
from edge.reader.words import COMMA, MARK, same_word

CONTENT_KINDS = sorted(CONTENT)


class Matches:
    """Which words of the passages are content words of the question, and how much each of these counts."""

    def __init__(self, page: Page) -> None:
        self.stems = list(dict.fromkeys(page.asked.stems))
        self.content = np.isin(page.kinds, CONTENT_KINDS)
        self.found = np.zeros((len(self.stems), len(page.spans)), bool)
        known: dict[str, list[int]] = {}
        for place in np.flatnonzero(self.content):
            word = page.stems[place]
            if word not in known:
                known[word] = [row for row, asked in enumerate(self.stems) if same_word(asked, word)]
            self.found[known[word], place] = True
        count = len(page.sentence_spans)
        self.in_sentence = np.zeros((len(self.stems), count), bool)
        for number in range(count):
            self.in_sentence[:, number] = self.found[:, page.first[number] : page.first[number + 1]].any(1)
        frequency = self.in_sentence.sum(1)
        rarity = np.log(1 + (count - frequency + 0.5) / (frequency + 0.5))
        self.weights = np.where(frequency == 0, 0.7 * np.log(1 + count), rarity)
        self.total = float(self.weights.sum()) or 1.0


class Relevance:
    """How much sentences and passages have to do with the question."""

    def __init__(self, page: Page, matches: Matches, near: Floats) -> None:
        count = len(page.sentence_spans)
        self.of = np.array([span.passage for span in page.sentence_spans], np.int64)
        self.near = near
        self.overlap = matches.weights @ matches.in_sentence / matches.total
        both = matches.in_sentence.copy()
        for number in range(1, count):
            if self.of[number] == self.of[number - 1]:
                both[:, number] |= matches.in_sentence[:, number - 1]
        self.before = matches.weights @ both / matches.total - self.overlap
        self.passage_overlap, self.passage_near = np.zeros(len(page.passages)), np.zeros(len(page.passages))
        for number in np.unique(self.of):
            mine = self.of == number
            self.passage_overlap[number] = matches.weights @ matches.in_sentence[:, mine].any(1) / matches.total
            self.passage_near[number] = np.sort(near[mine])[-2:].mean()
        passage = self.passage_overlap[self.of] + self.passage_near[self.of]
        self.score = self.overlap + near + 0.3 * self.before + 0.5 * passage

    def features(self, at: Ints) -> dict[str, Floats]:
        of = self.of[at]
        rank = np.argsort(np.argsort(-self.score, kind="stable"))
        return {
            "sentence: overlap": self.overlap[at],
            "sentence: overlap, relative": self.overlap[at] - self.overlap.max(initial=0.0),
            "sentence: overlap of the one before": self.before[at],
            "sentence: near": self.near[at],
            "sentence: near, relative": self.near[at] - self.near.max(initial=-1.0),
            "passage: overlap, relative": self.passage_overlap[of] - self.passage_overlap.max(initial=0.0),
            "passage: near, relative": self.passage_near[of] - self.passage_near.max(initial=-1.0),
            "sentence: best": 1.0 * (rank[at] == 0),
            "sentence: second": 1.0 * (rank[at] == 1),
        }


def overlap(page: Page, matches: Matches, a: Ints, b: Ints) -> dict[str, Floats]:
    """Question words in the span, near it, before and after it."""
    asked, count = page.asked, len(page.spans)
    first, end = bounds(page, a)
    is_asked: NDArray[np.bool_] = np.asarray(matches.found.any(0), bool)
    within = sums(is_asked)[b] - sums(is_asked)[a]
    content = np.maximum(1, sums(matches.content)[b] - sums(matches.content)[a])
    is_word = ~np.isin(page.kinds, (COMMA, MARK))
    place = sums(np.where(is_word, 1.0, 2.5))[:-1]  # a comma is a distance, too
    wide, close, left, right = (np.zeros(len(a)) for _ in range(4))
    verb_left, verb_right = np.zeros(len(a)), np.zeros(len(a))
    for row, weight in enumerate(matches.weights):
        at = np.flatnonzero(matches.found[row])
        if not len(at):
            continue
        before, after = np.searchsorted(at, a) - 1, np.searchsorted(at, b)
        at_left, at_right = at[np.maximum(before, 0)], at[np.minimum(after, len(at) - 1)]
        has_left, has_right = (before >= 0) & (at_left >= first), (after < len(at)) & (at_right < end)
        to_left = np.where(has_left, place[a] - place[at_left], 1e9)
        to_right = np.where(has_right, place[at_right] - place[b - 1], 1e9)
        nearest = np.minimum(to_left, to_right) - 1
        wide += weight * np.exp(-nearest / 8)
        close += weight * np.exp(-nearest / 2.5)
        left += weight * (to_left < to_right)
        right += weight * (to_right < to_left)
        if matches.stems[row] == asked.verb:
            verb_left += np.exp(-(to_left - 1) / 4)
            verb_right += np.exp(-(to_right - 1) / 4)
    subject, thing = float(asked.is_of_subject), float(not asked.is_of_subject)
    side = (right - left) / matches.total
    head = np.array([bool(asked.focus) and same_word(asked.focus[-1], word) for word in page.stems], bool)
    focus = np.array([any(same_word(noun, word) for noun in asked.focus) for word in page.stems], bool)
    after1, after2 = np.minimum(b, count - 1), np.minimum(b + 1, count - 1)
    before1, before2 = np.maximum(a - 1, 0), np.maximum(a - 2, 0)
    has_head = sums(head)[b] > sums(head)[a]
    return {
        "span: share of question words": within / content,
        "span: all question words": 1.0 * (within >= content),
        "span: some question words": 1.0 * (within > 0),
        "near the question's words": wide / matches.total,
        "close to the question's words": close / matches.total,
        "question words after it, subject asked": side * subject,
        "question words after it, other asked": side * thing,
        "verb after it, subject asked": verb_right * subject,
        "verb before it, subject asked": verb_left * subject,
        "verb after it, other asked": verb_right * thing,
        "verb before it, other asked": verb_left * thing,
        "focus: in": 1.0 * has_head,
        "focus: last": 1.0 * head[b - 1],
        "focus: next": 1.0 * ((b < end) & head[after1]) + 0.5 * ((b + 1 < end) & head[after2] & ~head[after1]),
        "focus: previous": 1.0 * ((a > first) & head[before1]) + 0.5 * ((a - 2 >= first) & head[before2]),
        "focus: only": 1.0 * (has_head & (length(page, a, b) == 1)),
        "focus: any": 1.0 * (sums(focus)[b] > sums(focus)[a]),
    }
