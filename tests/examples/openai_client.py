"""Ask through OpenAI's own client; a mode takes the place of the model.

export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=$(cat ~/.local/share/edgewise/token)
python openai_client.py "Who wrote Hamlet?" edge_only cloud_only
"""

import sys

from openai import APIError, OpenAI


def ask(client: OpenAI, text: str, mode: str) -> None:
    stream = client.chat.completions.create(
        model=mode,
        messages=[{"role": "user", "content": text}],
        stream=True,
        extra_body={"edgewise": {"max_latency_s": 60}},  # also privacy, max_cost_usd, conversation_id and more
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage is not None:  # the last one also has what was decided
            made = (chunk.model_extra or {})["edgewise"]
            print(f"\n{made['mode']}, {made['author']}, {made['grounding']}, {chunk.usage.total_tokens} tokens")


if __name__ == "__main__":
    try:
        with OpenAI() as openai:
            for name in sys.argv[2:] or ["auto"]:
                ask(openai, sys.argv[1], name)
    except APIError as error:
        sys.exit(error.message)
