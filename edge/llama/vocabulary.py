"""A model's tokens: text to tokens and back."""

from __future__ import annotations

import ctypes
from typing import Any

from edgewise.errors import InvalidInput


class Vocabulary:
    """Safe to use from several threads at once, until the model is closed."""

    def __init__(self, model: Any) -> None:
        from llama_cpp import llama_cpp as llama

        self._llama = llama
        self.pointer = llama.llama_model_get_vocab(model)
        self.size: int = llama.llama_vocab_n_tokens(self.pointer)
        self.bos: int = llama.llama_vocab_bos(self.pointer)
        self.eos: int = llama.llama_vocab_eos(self.pointer)
        self.adds_bos: bool = llama.llama_vocab_get_add_bos(self.pointer)

    def tokenize(self, text: str, control: bool = False) -> list[int]:
        """`control` reads control tokens such as <|im_end|>; without it they are plain text, as in what users write."""
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InvalidInput("the text holds half a surrogate pair, which is not valid Unicode; remove it") from None
        tokens = (self._llama.llama_token * (len(data) + 2))()
        count = self._llama.llama_tokenize(self.pointer, data, len(data), tokens, len(tokens), False, control)
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of a token, which may end inside a character; none for a control token."""
        buffer = ctypes.create_string_buffer(64)
        length = self._llama.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._llama.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length]

    def name(self, token: int) -> str:
        """How a chat template writes a token; empty for a token that the model does not have."""
        if token < 0:
            return ""
        name: bytes = self._llama.llama_vocab_get_text(self.pointer, token)
        return name.decode(errors="replace")

    def ends(self, token: int) -> bool:
        """The model says with this token that it is done."""
        return bool(self._llama.llama_vocab_is_eog(self.pointer, token))
