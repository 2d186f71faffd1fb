"""Code of our own that is compiled into llama.cpp's CPU library, for what is slow in it or slow from Python.

A llama-cpp-python from elsewhere does not have it. Then llama.cpp multiplies as it always does, and numpy measures
confidence.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.llama.native import Logits


class RawConfidence(ctypes.Structure):
    """Of a row of logits: the likeliest token, its logit and the next one, and two sums over the distances to it."""

    top: int
    peak: float
    second: float
    total: float
    expected: float
    _fields_ = (
        ("top", ctypes.c_int32),
        ("peak", ctypes.c_float),
        ("second", ctypes.c_float),
        ("total", ctypes.c_float),
        ("expected", ctypes.c_float),
    )


@lru_cache(maxsize=1)
def use() -> bool:
    """Models that are loaded later multiply with our kernels where llama.cpp has no fast ones. False: there are none.

    Call it before this process loads its first model.
    """
    library = _library()
    if library is None:
        return False
    library.edgewise_use_kernels.restype = ctypes.c_bool
    return bool(library.edgewise_use_kernels())


def confidence() -> Callable[[Logits], RawConfidence] | None:
    """A function for one thread, whose result holds until its next call; None if there is none."""
    library = _library()
    if library is None:
        return None
    read, found = library.edgewise_confidence, RawConfidence()
    read.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(RawConfidence)]
    read.restype = None
    pointer = ctypes.pointer(found)

    def of(row: Logits) -> RawConfidence:
        read(row.ctypes.data, len(row), pointer)
        return found

    return of


def _library() -> ctypes.PyDLL | None:
    """llama.cpp's, if ours is in it. Its calls keep the interpreter's lock: they take microseconds, and to get the lock
    back could take milliseconds.
    """
    from llama_cpp._ggml import libggml

    library = ctypes.PyDLL(libggml._name)
    return library if hasattr(library, "edgewise_use_kernels") else None
