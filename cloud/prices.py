"""What a large model costs: a dated table for hosted models, and a notional price for stand-ins.

A price that is not here is unknown, which is `None` and not zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from edgewise.types import CostBasis, Tokens, Value


class Price(Value):
    """US dollars a million tokens. `usd_per_mtok_cached` is for prompt tokens that the provider had in its cache."""

    usd_per_mtok_prompt: float = Field(ge=0)
    usd_per_mtok_completion: float = Field(ge=0)
    usd_per_mtok_cached: float | None = Field(default=None, ge=0)
    as_of: str = ""
    source: str
    basis: CostBasis = CostBasis.BILLED


OPENAI = "api.openai.com"


def _openai(prompt: float, cached: float, completion: float) -> Price:
    return Price(
        usd_per_mtok_prompt=prompt,
        usd_per_mtok_cached=cached,
        usd_per_mtok_completion=completion,
        as_of="2026-03",
        source="OpenAI's public list prices, standard tier",
    )


HOSTED: Mapping[str, Mapping[str, Price]] = {
    OPENAI: {
        "gpt-4.1": _openai(2.00, 0.50, 8.00),
        "gpt-4.1-mini": _openai(0.40, 0.10, 1.60),
        "gpt-4.1-nano": _openai(0.10, 0.025, 0.40),
        "gpt-4o": _openai(2.50, 1.25, 10.00),
        "gpt-4o-mini": _openai(0.15, 0.075, 0.60),
        "gpt-5": _openai(1.25, 0.125, 10.00),
        "gpt-5-mini": _openai(0.25, 0.025, 2.00),
        "gpt-5-nano": _openai(0.05, 0.005, 0.40),
        "gpt-5.4": _openai(2.50, 0.25, 15.00),
        "gpt-5.4-mini": _openai(0.75, 0.075, 4.50),
    },
}

NOTIONAL = Price(
    usd_per_mtok_prompt=0.50,
    usd_per_mtok_completion=2.00,
    as_of="2026-11",
    source="notional: a price made up for a stand-in, of the order of a small hosted model's; nobody is billed",
    basis=CostBasis.NOTIONAL,
)


def price_of(model: str, host: str = OPENAI) -> Price | None:
    """The list price of a model at the host that serves it; None when unknown.

    The host counts, because the same name on another server is another price.
    """
    return HOSTED.get(host, {}).get(model)


def cost(tokens: Tokens, price: Price | None) -> float | None:
    """US dollars; None without a price. Cached prompt tokens cost the same as others unless the price says less."""
    if price is None:
        return None
    cached_price = price.usd_per_mtok_prompt if price.usd_per_mtok_cached is None else price.usd_per_mtok_cached
    fresh = tokens.prompt_tokens - tokens.cached_tokens
    return (
        fresh * price.usd_per_mtok_prompt
        + tokens.cached_tokens * cached_price
        + tokens.completion_tokens * price.usd_per_mtok_completion
    ) / 1e6


def flops(parameters: float | None, tokens: Tokens) -> float | None:
    """2 x parameters x the tokens that were evaluated or written; None for a model of unknown size."""
    if parameters is None:
        return None
    return 2 * parameters * (tokens.prompt_tokens - tokens.cached_tokens + tokens.completion_tokens)
