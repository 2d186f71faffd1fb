"""What llama.cpp was built for and what it finds here, asked in a child: `python -m edge.llama.machine.hardware`."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.llama import kernels
from edgewise.errors import NotReady

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Device:
    """A processor or a GPU; memory in bytes, None where llama.cpp does not know it."""

    name: str
    description: str
    free_bytes: int | None
    is_gpu: bool


@dataclass(frozen=True, slots=True)
class Hardware:
    """`features` are the processor features that llama.cpp uses, in its own names; `has_kernels` if ours are in it."""

    features: tuple[str, ...]
    devices: tuple[Device, ...]
    has_kernels: bool

    @property
    def gpus(self) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if device.is_gpu)

    @property
    def uses_amx(self) -> bool:
        return "AMX_INT8" in self.features


def look() -> Hardware:
    """NotReady if llama.cpp cannot even be loaded."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "edge.llama.machine.hardware"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotReady(f"llama.cpp did not start within {_TIMEOUT_S:.0f} s; is a driver of a GPU stuck?") from None
    if child.returncode != 0:
        last = (child.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise NotReady(f"llama.cpp cannot be loaded ({last[:300]}); run `make setup`")
    found = json.loads(child.stdout)
    devices = tuple(Device(**device) for device in found["devices"])
    return Hardware(tuple(found["features"]), devices, found["has_kernels"])


def has_amx() -> bool:
    """The processor says so, whatever llama.cpp was built for."""
    try:
        return "amx_int8" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _read() -> Hardware:
    from llama_cpp import llama_cpp as llama
    from llama_cpp._ggml import libggml

    llama.llama_backend_init()
    features = re.findall(r"(\w+) = 1\b", llama.llama_print_system_info().decode(errors="replace"))
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    for name in ("ggml_backend_dev_name", "ggml_backend_dev_description"):
        getattr(libggml, name).restype = ctypes.c_char_p
        getattr(libggml, name).argtypes = [ctypes.c_void_p]
    libggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    libggml.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p] + 2 * [ctypes.POINTER(ctypes.c_size_t)]
    libggml.ggml_backend_dev_memory.restype = None
    devices = []
    for index in range(libggml.ggml_backend_dev_count()):
        device, free, total = libggml.ggml_backend_dev_get(ctypes.c_size_t(index)), ctypes.c_size_t(), ctypes.c_size_t()
        libggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        devices.append(
            Device(
                name=libggml.ggml_backend_dev_name(device).decode(errors="replace"),
                description=libggml.ggml_backend_dev_description(device).decode(errors="replace"),
                free_bytes=free.value or None,
                is_gpu=libggml.ggml_backend_dev_type(device) in _GPU_TYPES,
            )
        )
    return Hardware(tuple(features), tuple(devices), kernels.use())


_GPU_TYPES = (1, 2)
"""ggml's GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU."""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_read())))
