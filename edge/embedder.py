"""The sentence embedder: MiniLM on ONNX Runtime, on a thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import minilm, models
from edgewise.errors import InvalidInput, NotReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

    Vectors = NDArray[np.float32]


class Embedder:
    """`open` makes one; `embed` may be called from any task, and does one text after the other."""

    dimension = minilm.WIDTH
    max_tokens = 256
    """The longest text in tokens, the two special ones included: the length that the model was trained on."""

    def __init__(self, session: Any, tokenizer: Tokenizer, model_hash: str) -> None:
        self.model_hash = model_hash
        self._session = session
        self._tokenizer = tokenizer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgewise-embedder")

    @classmethod
    def open(cls, directory: Path | None = None, threads: int = 1) -> Embedder:
        """Load the catalogue's embedder, or the same model from a directory; blocks for about a second.

        NotReady if a file is missing or damaged. A model that was never quantised here takes five seconds more.
        """
        if directory is None:
            directory = models.locate(models.MINILM.name)
        path = minilm.build(directory)
        return cls(
            session=_session(path, threads),
            tokenizer=_tokenizer(directory / "tokenizer.json"),
            model_hash=models.sha256(path),
        )

    def count_tokens(self, text: str) -> int:
        """The length of a text as `max_tokens` counts it."""
        return len(self._encode(text))

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """L2-normalised float32 vectors, [texts, 384]. InvalidInput for a text over `max_tokens`: nothing is cut off.

        Texts go through one at a time (batches are slower on a CPU), so a query waits for one passage of an ingest,
        and cancelling stops after the current text.
        """
        import numpy as np

        loop = asyncio.get_running_loop()
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = await loop.run_in_executor(self._thread, self._embed_one, text)
        return vectors

    def close(self) -> None:
        """Wait for the text in work, then end the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _embed_one(self, text: str) -> Vectors:
        import numpy as np

        encoding = self._encode(text)
        if len(encoding) > self.max_tokens:
            raise InvalidInput(
                f"a text of {len(encoding)} tokens does not fit the embedder's {self.max_tokens}; shorten or split it"
            )
        inputs = {
            "input_ids": np.asarray([encoding.ids], dtype=np.int64),
            "attention_mask": np.asarray([encoding.attention_mask], dtype=np.int64),
        }
        vector: Vectors = self._session.run(None, inputs)[0][0]
        return vector

    def _encode(self, text: str) -> Encoding:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput("the text holds half a surrogate pair, which is not valid Unicode; remove it") from None
        return self._tokenizer.encode(text)


def _session(path: Path, threads: int) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (faults.Fail, faults.InvalidProtobuf, faults.InvalidGraph, faults.InvalidArgument) as error:
        raise NotReady(f"{path} cannot be loaded; delete it and start again to rebuild it ({error})") from error


def _tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotReady(f"the embedder's tokenizer {path} cannot be read: {error.strerror}") from error
    models.check_hash(path, hashlib.sha256(content).hexdigest())
    tokenizer = Tokenizer.from_str(content.decode())
    # The file asks for 128 tokens, cut or filled up; here nothing is cut, and one text needs no filling.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
