"""A folder that nobody wants to be given: files that are broken, hostile, endless, or only strange.

`python -m tests.awkward DIRECTORY` makes it, to look at.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.files import archive, pdf, raw_pdf, word, word_xml

MIB = 1024 * 1024

# --- what is only strange: the sentence in each is to be found --------------------------------------------------------

GOOD: Mapping[str, tuple[str, Callable[[str], bytes]]] = {
    "plain.txt": ("The ferry to Lundby leaves at six.", str.encode),
    "with bom.txt": ("The well of Harrow is eleven metres deep.", lambda text: text.encode("utf-16")),
    "naïve – 名前.md": ("The owl of Tibble was called Brontë.", lambda text: f"# Owls\r\n\r\n{text}\r\n".encode()),
    "LOUD.PDF": ("The gate of Emsworth opens at nine.", lambda text: pdf([text])),
    "old.HTM": (
        "The café of Vimy serves crêpes.",
        lambda text: f'<meta charset="windows-1252"><p>{text}'.encode("windows-1252"),
    ),
    "report.docx": ("The mill of Ostrava grinds rye.", lambda text: word("# Mills", text)),
    "people.csv": ("Ada Quill", lambda name: f"name;born;trade\n{name};1815;clockmaker\nBo Lind;1790;baker\n".encode()),
    "rooms.tsv": ("Cedar room", lambda name: f"room\tseats\n{name}\t40\nOak room\t12\n".encode()),
    "stock.json": ("left-handed scissors", lambda name: json.dumps([{"article": name, "left": 3}]).encode()),
    "log.jsonl": ("boiler B7 overheated", lambda text: f'{{"id": 1, "event": "{text}"}}\n'.encode()),
    "deep/" + "d/" * 60 + "deep.md": ("The tunnel of Gotthal has sixty doors.", str.encode),
}

# --- what is refused, and the words of the reason ---------------------------------------------------------------------

PARAGRAPH = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{f"&{of};" * 10}">' for name, of in zip("bcdefghij", "abcdefghi", strict=True)
) + "]>"  # fmt: skip
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
DRAWN = b"q " * 3_000_000
DOUBLING = {f"F{level}": (f"/F{level + 1} Do " * 2).encode() for level in range(40)}


def _nested_forms() -> bytes:
    """40 forms, each drawn twice by the one before it."""
    forms = {
        name: (content, f"/XObject<</F{level + 1} {level + 6} 0 R>>" if level < 39 else "")
        for level, (name, content) in enumerate(DOUBLING.items())
    }
    return raw_pdf(b"/F0 Do", forms)


def _lying() -> bytes:
    """An archive whose largest member says that it has ten bytes."""
    data = bytearray(word_xml(PARAGRAPH.format("x"), zeros=bytes(200 * MIB)))
    size = struct.pack("<I", 200 * MIB)
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = struct.pack("<I", 10)
    return bytes(data)


BAD: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "empty.txt": ("is empty", lambda: b""),
    "blank.md": ("has no text", lambda: b" \n\n\t\n"),
    "latin-1.txt": ("is not UTF-8", lambda: "Grüße".encode("latin-1")),
    "shift-jis.csv": ("is not UTF-8", lambda: "名前,年齢\n".encode("shift-jis")),
    "half.txt": ("is not UTF-8", lambda: b"\xff\xfea"),
    "binary.txt": ("is binary", lambda: b"\x7fELF\0\0\0\1"),
    "deep.html": ("nested", lambda: b"<div>" * 200_000 + b"x"),
    "garbage.pdf": ("is not a PDF", lambda: b"%PDF-1.7 garbage"),
    "cut.pdf": ("is not a PDF", lambda: pdf(["cut"])[:300]),
    "locked.pdf": ("is encrypted", lambda: pdf(["secret"], password="hush")),
    "scan.pdf": ("no text layer", lambda: pdf([])),
    "inflates.pdf": ("unpacks", lambda: raw_pdf(bytes(300 * MIB))),
    "draws.pdf": ("unpacks", lambda: raw_pdf(DRAWN)),
    "doubles.pdf": ("unpacks", _nested_forms),
    "garbage.docx": ("is not a Word document", lambda: b"garbage"),
    "cut.docx": ("is not a Word document", lambda: word("cut")[:2000]),
    "no-document.docx": ("is not a Word document", lambda: archive({"a.xml": b"<a/>"})),
    "old.docx": ("older format", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)),
    "zeros.docx": ("unpacks", lambda: word_xml(PARAGRAPH.format("x"), zeros=bytes(200 * MIB))),
    "many.docx": ("unpacks", lambda: archive({f"{number}.xml": b"" for number in range(20_000)})),
    "lies.docx": ("is not a Word document", _lying),
    "laughs.docx": ("DTD", lambda: word_xml(PARAGRAPH.format("&j;"), before=LAUGHS)),
    "passwords.docx": ("DTD", lambda: word_xml(PARAGRAPH.format("&a;"), before=OUTSIDE)),
    "nested.docx": ("is not a Word document", lambda: word_xml("<w:sdt>" * 5_000 + "x" + "</w:sdt>" * 5_000)),
    "nested.json": ("nested", lambda: b"[" * 200_000 + b"]" * 200_000),
    "stairs.json": ("nested", lambda: b'{"a":' * 400 + b"1" + b"}" * 400),
    "broken.json": ("line 2, column 1", lambda: b'{"a": 1,\n'),
    "values.json": ("values", lambda: b"[" + b"{}," * 6_000_000 + b"{}]"),
    "digits.json": ("too long", lambda: b"9" * 10_000),
    "broken.jsonl": ("line 2", lambda: b'{"a": 1}\n{"a"\n'),
    "field.csv": ("from line 2 on", lambda: b"a,b\n1," + b"x" * 10 * MIB),
    "quote.csv": ("from line 2 on", lambda: b'a,b\n"never closed,1\n' + b"2,3\n" * 1000),
    "sparse.txt": ("is larger than", lambda: b""),
}


def make(root: Path) -> dict[str, str]:
    """Fills a directory; the names of what is to be refused there, as they are shown, and why."""
    for name, (sentence, made) in GOOD.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(made(sentence))
    for name, (_, content) in BAD.items():
        (root / name).write_bytes(content())
    os.truncate(root / "sparse.txt", 1024 * MIB)
    (root / "photo.png").write_bytes(b"\x89PNG")
    (root / ".hidden.txt").write_text("Nobody is to find this.")
    return {name: reason for name, (reason, _) in BAD.items()} | _special(root)


def _special(root: Path) -> dict[str, str]:
    """What is in the file system and not in a file."""
    os.mkfifo(root / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root)  # the path of a socket has at most 107 bytes
        try:
            listener.bind("socket.txt")
        finally:
            os.chdir(here)
    outside = root.with_name(f"{root.name}-outside")
    outside.mkdir()
    (outside / "secret.txt").write_text("Nobody is to find this either.")
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "out").symlink_to(outside)
    (root / "inside.txt").symlink_to("plain.txt")
    (root / "self.txt").symlink_to("self.txt")
    (root / "round").symlink_to(".")
    (root / "nowhere.txt").symlink_to("not-there.txt")
    (root / "two\nlines.txt").write_text("x")
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt"))).write_text("x")
    refused = {
        "pipe.txt": "not a regular file", "socket.txt": "not a regular file", "out.txt": "leads out",
        "out": "leads out", "self.txt": "cannot be read", "nowhere.txt": "not there",
        "two\\nlines.txt": "cannot be shown", "caf\\xe9.txt": "cannot be shown",
    }  # fmt: skip
    if os.geteuid():  # nothing is closed to root
        for name in ("closed.txt", "closed"):
            (root / name).mkdir() if name == "closed" else (root / name).write_text("x")
            (root / name).chmod(0)
            refused[name] = "Permission denied"
    return refused


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True)
    print(f"{len(make(directory))} to refuse, {len(GOOD)} to find")
