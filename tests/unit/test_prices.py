from __future__ import annotations

from datetime import date

import pytest

from cloud.config import CloudSettings
from cloud.price_list import age_days, lines, rows
from cloud.prices import HOSTED, NOTIONAL, OPENAI, Price, cost, flops, price_of
from edgewise.types import CostBasis, Tokens

PRICE = Price(usd_per_mtok_prompt=2, usd_per_mtok_completion=8, usd_per_mtok_cached=0.5, source="a test")
TOKENS = Tokens(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)


def test_a_cost_counts_fresh_cached_and_written_tokens() -> None:
    assert cost(TOKENS, PRICE) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)


def test_cached_tokens_cost_the_same_where_the_price_does_not_say_less() -> None:
    price = PRICE.model_copy(update={"usd_per_mtok_cached": None})
    assert cost(TOKENS, price) == pytest.approx(2 + 4)


def test_an_unknown_price_is_not_zero() -> None:
    assert price_of("a-model-of-tomorrow") is None
    assert cost(TOKENS, None) is None


def test_the_host_counts_as_much_as_the_name() -> None:
    assert price_of("gpt-4o-mini", OPENAI) is not None
    assert price_of("gpt-4o-mini", "127.0.0.1") is None


@pytest.mark.parametrize("price", [price for models in HOSTED.values() for price in models.values()])
def test_every_list_price_has_a_date_and_a_source(price: Price) -> None:
    assert price.as_of
    assert price.source
    assert price.basis is CostBasis.BILLED
    assert price.usd_per_mtok_prompt < price.usd_per_mtok_completion
    assert price.usd_per_mtok_cached is not None
    assert price.usd_per_mtok_cached < price.usd_per_mtok_prompt


def test_a_notional_price_calls_itself_one() -> None:
    assert NOTIONAL.basis is CostBasis.NOTIONAL
    assert "notional" in NOTIONAL.source


def test_flops_are_two_a_parameter_and_token_that_was_worked_on() -> None:
    assert flops(1e9, Tokens(prompt_tokens=100, completion_tokens=20, cached_tokens=60)) == 2e9 * 60
    assert flops(None, TOKENS) is None


def test_the_list_has_ones_own_upstreams_first_with_what_is_unknown_and_what_is_old() -> None:
    settings = CloudSettings.model_validate(
        {
            "base_url": f"https://{OPENAI}/v1",
            "model": "gpt-4o",
            "fallback": [{"base_url": "http://127.0.0.1:1/v1", "model": "q"}, {"model": "gpt-9"}],
        }
    )
    listed = list(rows(settings, date(2026, 4, 1), old_days=30))
    first, second, third, *rest = listed
    assert (first.model, first.usd_per_mtok_prompt, first.age_days, first.is_old) == ("gpt-4o", 2.5, 31, True)
    assert (second.model, second.host, second.usd_per_mtok_prompt, second.age_days) == ("q", "127.0.0.1", None, None)
    assert (third.model, third.host, third.usd_per_mtok_prompt) == ("gpt-9", OPENAI, None)
    assert all(row.used is (row in listed[:3]) for row in listed)
    assert {row.model for row in rest} == set(HOSTED[OPENAI]) - {"gpt-4o"}
    _, host, source, *shown = lines(listed)
    assert (host, "OLD" in source, shown[0].split()) == (OPENAI, True, ["*", "gpt-4o", "2.5", "1.25", "10"])
    assert sum("*" in line for line in shown) == 3
    assert all(len(line) <= 80 for line in (source, *shown))
    assert not any(row.is_old for row in rows(settings, date(2026, 4, 1), old_days=31))


def test_a_date_may_be_a_day_or_a_month_and_ones_own_price_has_none() -> None:
    day = PRICE.model_copy(update={"as_of": "2026-03-20"})
    assert age_days(day, date(2026, 4, 1)) == 12
    assert age_days(PRICE, date(2026, 4, 1)) is None
