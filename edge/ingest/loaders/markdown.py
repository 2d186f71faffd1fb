"""Markdown, by the CommonMark rules for headings and fenced code; everything else stays as it was written."""

from __future__ import annotations

import re

from edge.ingest.cleaning import clean, one_line
from edge.ingest.loaders.outline import Loaded, Outline
from edge.ingest.loaders.plain import decode

_FRONT_MATTER = re.compile(r"---\n(.*?)\n---(?:\n|$)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:\s*(\S.*)$", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})$")


def load(data: bytes) -> Loaded:
    text = clean(decode(data))
    outline = Outline()
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        if title := _FRONT_TITLE.search(front[1]):
            outline.title = one_line(title[1].strip("\"'"))
    lines: list[str] = []
    fence = ""

    def flush() -> None:
        outline.paragraph("\n".join(lines))
        lines.clear()

    for line in text.split("\n"):
        opens = _FENCE.match(line)
        if fence:
            lines.append(line)
            if opens and opens[1].startswith(fence) and line.strip() == opens[1]:
                fence = ""
                flush()
        elif opens:
            fence = opens[1]
            lines.append(line)
        elif heading := _HEADING.match(line):
            flush()
            outline.heading(len(heading[1]), heading[2].rstrip("# "))
        elif len(lines) == 1 and (underline := _UNDERLINE.match(line)):
            outline.heading(1 if underline[1][0] == "=" else 2, lines.pop())
        elif line.strip():
            lines.append(line)
        else:
            flush()
    flush()
    return outline.finish()
