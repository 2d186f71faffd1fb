"""What somebody else's text can do to a terminal."""

import unicodedata

from router.cli.terminal import plain


def test_words_stay_and_controls_go() -> None:
    assert plain("Zwei Zeilen,\n\tund 词 👩\u200d🔬 ﷽ a\u00a0b") == "Zwei Zeilen,\n\tund 词 👩\u200d🔬 ﷽ a\u00a0b"
    copied = "\x1b]52;c;c2VjcmV0\x07"  # puts something on the clipboard
    linked = "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\"
    assert plain(copied + linked) == "]52;c;c2VjcmV0]8;;https://evil.example\\here]8;;\\"
    everything = "".join(map(chr, range(0x3000)))
    left = [char for char in plain(everything) if unicodedata.category(char) == "Cc"]
    assert left == ["\t", "\n"]
    assert not {"\u202e", "\u2066"} & {*plain(everything)}
