"""`python xllamacpp_server.py PORT MODEL OPTION...`: xllamacpp's server with llama-server's options, until killed.

Runs in a Python of its own that has xllamacpp and nothing of ours.
"""

from __future__ import annotations

import importlib
import signal
import sys


def main(port: int, model: str, options: list[str]) -> None:
    xllamacpp = importlib.import_module("xllamacpp")
    given = dict(zip(options, [*options[1:], ""], strict=True))
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = port
    params.n_ctx = int(given["-c"])
    params.n_parallel = int(given["-np"])
    params.cpuparams.n_threads = int(given["-t"])
    params.cpuparams_batch.n_threads = int(given["-tb"])
    kinds = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = (
        kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED if given["-fa"] == "on" else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.cache_ram_mib = int(given["-cram"])
    params.kv_unified = False
    server = xllamacpp.Server(params)
    system = " ".join(str(xllamacpp.get_system_info()).split())
    print(f"kernels: {system} (xllamacpp {xllamacpp.__version__}, {server.listening_address})", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
