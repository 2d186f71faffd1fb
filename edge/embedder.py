"""The sentence embedder: a model of the catalogue on ONNX Runtime, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import bert, e5, minilm, models
from edge.bert import Locate, Spec, Tokenize
from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.scripts import mostly_latin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Offsets = NDArray[np.int64]

EMBEDDERS: dict[str, Spec] = {models.MINILM.name: minilm.SPEC, models.E5.name: e5.SPEC}


class Embedder:
    """`open` makes one; all else may be called from any task, and one text is embedded after the other.

    A query and a passage are embedded differently, if the model was trained so; two texts of one kind that are to be
    compared are two queries.
    """

    def __init__(
        self, name: str, session: Any, tokenize: Tokenize, spec: Spec, *, model_hash: str, locate: Locate | None
    ) -> None:
        self.name = name
        self.model_hash = model_hash
        self.dimension = spec.dimension
        self.max_tokens = spec.max_tokens
        self._session = session
        self._tokenize = tokenize
        self._locate = locate
        self._spec = spec
        self._longer_prefix = max(spec.query_prefix, spec.passage_prefix, key=lambda prefix: len(tokenize(prefix)))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgewise-embedder")

    @classmethod
    def open(
        cls, name: str = models.MINILM.name, threads: int = 1, directory: Path | None = None, *, words: bool = False
    ) -> Embedder:
        """Load an embedder of the catalogue, or the same model from a directory; blocks for about a second.

        With `words` it can also `embed_words`, if the model's tokens can be located.

        NotFound if it is none; NotReady if a file is missing or damaged. A model that was never quantised here takes
        five seconds more.
        """
        spec = EMBEDDERS.get(name)
        if spec is None:
            raise NotFound(f"{name[:100]!r} is no sentence embedder; there are {', '.join(EMBEDDERS)}")
        if directory is None:
            directory = models.locate(name)
        path = spec.build(directory)
        locate = spec.locator(directory) if words and spec.locator else None
        graph = bert.with_words(path, spec.word_layer) if locate else path
        session = _session(path, graph, threads)
        digest = models.sha256(path)
        return cls(name, session, spec.tokenizer(directory), spec, model_hash=digest, locate=locate)

    @property
    def has_words(self) -> bool:
        return self._locate is not None

    def reads(self, text: str) -> bool:
        """Is the text in a script that this model was trained on? If not, its vector is near to anything."""
        return mostly_latin(text) or not self._spec.latin_only

    def count_tokens(self, text: str) -> int:
        """The length of a text as `max_tokens` counts it, whether it is a query or a passage."""
        return len(self._encode(self._longer_prefix + text))

    async def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """What is looked for, or compared: as `embed_passages`."""
        return await self._embed([self._spec.query_prefix + text for text in texts])

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """L2-normalised float32 vectors, [texts, dimension].

        InvalidInput for a text over `max_tokens`: nothing is cut off. Texts go through one at a time (batches are
        slower on a CPU), so a query waits for one passage of an ingest, and cancelling stops after the current text.
        """
        return await self._embed([self._spec.passage_prefix + text for text in texts])

    async def embed_words(self, text: str) -> tuple[Offsets, Vectors]:
        """Of every token, its characters [tokens, 2] and what it means there, float32 [tokens, dimension].

        Tokens beyond `max_tokens` are read in a new window, without what stands before it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed_words, text)

    def close(self) -> None:
        """Wait for the text in work, then end the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        loop = asyncio.get_running_loop()
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = await loop.run_in_executor(self._thread, self._embed_one, text)
        return vectors

    def _embed_one(self, text: str) -> Vectors:
        ids = self._encode(text)
        if len(ids) > self.max_tokens:
            raise InvalidInput(
                f"a text of {len(ids)} tokens does not fit the embedder's {self.max_tokens}; shorten or split it"
            )
        vector: Vectors = self._run("embedding", ids)[0]
        return vector

    def _embed_words(self, text: str) -> tuple[Offsets, Vectors]:
        import numpy as np

        assert self._locate is not None
        first, *ids, last = self._encode(text)
        room = self.max_tokens - 2
        windows = [ids[start : start + room] for start in range(0, len(ids), room)]
        vectors = [self._run("words", [first, *window, last])[0][1:-1] for window in windows]
        offsets = np.asarray(self._locate(text)[1:-1], np.int64).reshape(-1, 2)
        return offsets, np.concatenate((np.empty((0, self.dimension), np.float32), *vectors))

    def _run(self, output: str, ids: Sequence[int]) -> Any:
        import numpy as np

        inputs = {
            "input_ids": np.asarray([ids], dtype=np.int64),
            "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
        }
        return self._session.run([output], inputs)[0]

    def _encode(self, text: str) -> Sequence[int]:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput("the text holds half a surrogate pair, which is not valid Unicode; remove it") from None
        return self._tokenize(text)


def _session(path: Path, graph: Path | bytes, threads: int) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (faults.Fail, faults.InvalidProtobuf, faults.InvalidGraph, faults.InvalidArgument) as error:
        raise NotReady(f"{path} cannot be loaded; delete it and start again to rebuild it ({error})") from error
