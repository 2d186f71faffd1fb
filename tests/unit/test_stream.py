import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.llama.stream import TokenStream


def play(pieces: list[bytes], stops: tuple[str, ...]) -> tuple[list[str], int, bool]:
    stream = TokenStream(stops)
    chunks = []
    for piece in pieces:
        if chunk := stream.push(piece, -1.0, 2.0, 3.0):
            chunks.append(chunk)
        if stream.stopped:
            break
    if chunk := stream.finish():
        chunks.append(chunk)
    return [chunk.text for chunk in chunks], sum(len(chunk.logprobs) for chunk in chunks), stream.stopped


@given(st.text(alphabet="ab\n é中🎉", max_size=30), st.lists(st.text("ab\n中", min_size=1, max_size=4), max_size=3))
def test_byte_by_byte_the_text_ends_at_the_first_complete_stop(text: str, stops: list[str]) -> None:
    wanted = text
    for end in range(len(text) + 1):
        found = [at for at in (text[:end].find(stop) for stop in stops) if at >= 0]
        if found:
            wanted = text[: min(found)]
            break
    pieces = [bytes([byte]) for byte in text.encode()]
    texts, _, stopped = play(pieces, tuple(stops))
    assert "".join(texts) == wanted
    assert stopped == (wanted != text or any(stop in text for stop in stops))


@given(st.lists(st.binary(max_size=5), max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), max_size=2))
def test_any_bytes_give_text_and_one_logprob_a_token(pieces: list[bytes], stops: list[str]) -> None:
    texts, logprobs, stopped = play(pieces, tuple(stops))
    assert "".join(texts).encode().decode() == "".join(texts)
    assert stopped or logprobs == len(pieces)


@pytest.mark.parametrize(
    ("pieces", "stops", "wanted"),
    [
        ([b"one ", b"EN", b"D two"], ("END",), ["one ", ""]),
        ([b"one ", b"EN", b"ough"], ("END",), ["one ", "ENough"]),
        ([b"\xf0\x9f", b"\x8e", b"\x89!"], (), ["🎉!"]),
        ([b"ok\xf0\x9f"], (), ["ok"]),
        ([b"a\xffb"], (), ["a\ufffdb"]),
        ([b"", b"x"], (), ["x"]),
        ([], ("END",), []),
    ],
)
def test_what_is_shown_when(pieces: list[bytes], stops: tuple[str, ...], wanted: list[str]) -> None:
    assert play(pieces, stops)[0] == wanted
