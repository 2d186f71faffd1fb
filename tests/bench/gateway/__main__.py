"""`python -m tests.bench.gateway`: what the gateway and the router cost on top of what they stand before.

overhead_p50_ms, overhead_p99_ms: a one-token answer of the gateway (gRPC, a key, recorded answers) at 100 calls a
second, less the same from its backend in this process. one_token_generate_per_s: as fast as eight callers can.
rss_drift: how much larger the gateway is after 10,000 calls than after 2,000. cancel_p99_ms: from a caller's cancel to
the end of the connection upstream. routed_vs_bare_relay: questions a second of the daemon before a stub edge (eight
callers), over those of a relay of bytes between the same processes; router_added_p50_ms, router_added_p99_ms: what the
daemon adds to a direct call of the edge by one caller; relayed_tokens_per_s: tokens that eight callers get through it.

Writes build/bench/gateway.json; takes some minutes. --quick does less of each, to see that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.bench import results
from tests.bench.gateway import gate, router_added


async def _measured(settings: argparse.Namespace) -> None:
    seconds, count, calls = (1.5, 5, 500) if settings.quick else (20.0, 100, 10_000)
    rows: list[Mapping[str, object]] = []
    summary: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as directory:
        gateway, memory, cancels, router = (
            Path(directory, name) for name in ("gateway", "memory", "cancels", "router")
        )
        for place in (gateway, memory, cancels, router):
            place.mkdir()
        for part in (
            gate.added(gateway, seconds),
            gate.drift(memory, calls),
            gate.cancels(cancels, count),
            router_added.measured(router, seconds),
        ):
            found, figures = await part
            rows += found
            summary |= figures
    results.write(settings.out, "gateway", rows, summary, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench/gateway.json"))
    parser.add_argument("--quick", action="store_true")
    asyncio.run(_measured(parser.parse_args()))


if __name__ == "__main__":
    main()
