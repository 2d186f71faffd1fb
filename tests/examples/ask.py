"""Ask the daemon of this machine (`edgewise up`) and show the answer while it grows.

python ask.py "Who wrote Hamlet?" [MODE]
"""

import asyncio
import sys

from edgewise import Client, Done, EdgewiseError, Question, Token
from edgewise.types import Citations, Retraction


async def ask(text: str, mode: str) -> None:
    async with Client.local() as edgewise:
        async for event in edgewise.ask(Question(text=text, mode=mode)):
            match event:
                case Token():
                    print(event.text, end="", flush=True)
                case Retraction():  # what was shown so far does not stand; a better answer follows
                    print(f"\n[{event.reason}]")
                case Citations():
                    print("\nfrom", ", ".join(passage.source for passage in event.passages), end="")
                case Done():
                    cost = "unknown" if event.cost_usd is None else f"${event.cost_usd:.6f}"
                    print(f"\n{event.mode}, {event.author}, {event.grounding}, {event.total_s:.2f} s, cost {cost}")


if __name__ == "__main__":
    try:
        asyncio.run(ask(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
    except EdgewiseError as error:
        sys.exit(f"{error.reason}: {error.message}")
