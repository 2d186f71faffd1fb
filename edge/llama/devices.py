"""The devices that this build of llama.cpp can compute on: the CPU, and GPUs if it was built for them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from edgewise.errors import NotReady


@dataclass(frozen=True, slots=True)
class Device:
    name: str
    description: str
    pointer: int


def devices() -> tuple[Device, ...]:
    library = _library()
    pointers = [library.ggml_backend_dev_get(index) for index in range(library.ggml_backend_dev_count())]
    return tuple(
        Device(
            library.ggml_backend_dev_name(pointer).decode(),
            library.ggml_backend_dev_description(pointer).decode(errors="replace"),
            pointer,
        )
        for pointer in pointers
    )


def choose(names: tuple[str, ...]) -> Any:
    """llama.cpp's list of the devices of these names; no names are None, all. NotReady names those that there are."""
    if not names:
        return None
    there = {device.name: device for device in devices()}
    if missing := [name for name in names if name not in there]:
        known = ", ".join(f"{device.name} ({device.description})" for device in there.values())
        raise NotReady(
            f"this build of llama.cpp has no device {missing[0]!r}; it has {known}: change edge.devices, or build it "
            f"for your GPU (deploy/README.md)"
        )
    return (ctypes.c_void_p * (len(names) + 1))(*(there[name].pointer for name in names), None)


def _library() -> Any:
    from llama_cpp._ggml import libggml as library

    library.ggml_backend_dev_count.restype = ctypes.c_size_t
    library.ggml_backend_dev_get.restype = ctypes.c_void_p
    library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    for function in (library.ggml_backend_dev_name, library.ggml_backend_dev_description):
        function.restype = ctypes.c_char_p
        function.argtypes = [ctypes.c_void_p]
    return library
