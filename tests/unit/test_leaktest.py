"""The leak test finds what gets out, however it was disguised, and what only looks like it, it does not."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.client import CloudClient
from edgewise.types import Ingested, Privacy, Text, Upload
from router.config import RouterSettings
from router.egress import AuditLog, Boundary, Policy
from router.egress.detectors.structural import detect
from router.leaktest.marks import Haystack, Mark, Marks
from router.leaktest.plan import Planner
from router.leaktest.report import Report
from router.leaktest.run import OpenPolicy, Run
from router.leaktest.secrets import HARMLESS, HELD
from router.leaktest.sinks import standing
from router.log import Log
from router.service import Router
from tests.arbiters import an_arbiter
from tests.routers import log_url
from tests.sides import UNSURE, FakeEdge, Say, passage

SECRET = Mark("brabokenip-skrilunotav")
EAGER = RouterSettings(gain_threshold=-1, unfamiliar_gain_threshold=-1, trust_threshold=1)


def found(*messages: str) -> str:
    return Haystack([f"\x0a\x05{message}\x12".encode() for message in messages], messages).has(SECRET)


@pytest.mark.parametrize(
    ("message", "form"),
    [
        ("so brabokenip-skrilunotav said", "whole"),
        ("BRABOKENIP-SKRILUNOTAV", "whole"),
        ("brabokenip   skrilunotav", "whole"),
        ("b r a b o k e n i p - s k r i l u n o t a v", "whole"),
        ("ｂｒａｂｏｋｅｎｉｐ－ｓｋｒｉｌｕｎｏｔａｖ", "whole"),
        (quote("what brabokenip-skrilunotav says", safe=""), "whole"),
        ("only skrilunotav", "in part"),
        ("Brabokenip and others", "in part"),
        (base64.b64encode(b"brabokenip-skrilunotav").decode(), "in base64"),
        (base64.b64encode(b"x brabokenip-skrilunotav y").decode(), "in base64"),
        (base64.urlsafe_b64encode(b"xyz, brabokenip-skrilunotav").decode(), "in base64"),
        (b"brabokenip-skrilunotav".hex(), "in hexadecimal"),
        ("brabo and skrilu", ""),
        ("", ""),
    ],
)
def test_a_secret_is_found_in_every_form(message: str, form: str) -> None:
    assert found(message) == form


def test_a_secret_that_was_cut_up_over_messages_is_found() -> None:
    assert found("it is brab", "okenip-sk", "riluno", "tav") == "whole"


@given(st.integers(0, 30), st.text(max_size=20))
def test_a_secret_is_found_in_base64_wherever_it_begins(before: int, after: str) -> None:
    coded = base64.b64encode(b"x" * before + SECRET.text.encode() + after.encode("utf-8", "ignore"))
    assert found(coded.decode())


@pytest.mark.parametrize("seed", range(30))
def test_detectors_hold_every_secret_of_the_test_and_nothing_harmless(seed: int) -> None:
    marks = Marks(seed)
    for what, draw in HELD.items():
        text, mark = draw(marks)
        assert detect(text), (what, text)
        assert Haystack([text.encode()], [text]).has(mark), what
    for what, draw in HARMLESS.items():
        text, _ = draw(marks)
        assert detect(text) is None, (what, text)


def test_the_same_seed_draws_the_same_secrets_and_none_twice() -> None:
    plans = [[probe.mark for probe in Planner(seed, quick=False).allow().probes] for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert len(set(plans[0])) == len(plans[0])


async def leaks_of(directory: Path, policy: Policy) -> Report:
    """In a hurry, with an edge that finds all documents of the test in whatever is asked."""
    edge = FakeEdge(Say("nobody knows", logprob=UNSURE), tools=("search", "library"))

    async def ingest(upload: Upload) -> Ingested:
        found = passage(upload.data.decode(), label=Privacy.PRIVATE)
        text = Text(value=found.text.value, label=upload.label, sources=(upload.source,))
        edge.passages = (found.model_copy(update={"id": upload.source, "text": text}), *edge.passages)
        return Ingested(source=upload.source, status="INGESTED", passages=1)

    async with standing() as sinks:
        records, audit = await Log.open(log_url(directory)), AuditLog(directory)
        cloud = CloudClient(sinks.cloud.address)
        router = Router(
            edge, cloud, records, Boundary(policy, audit, "sink"), EAGER, arbiter=an_arbiter(EAGER)
        )  # fmt: skip
        run = Run(sinks, lambda *_: None)
        await run.carry_out(Planner(0, quick=True).allow(), router, ingest)
        await router.close()
        await records.close()
        await cloud.close()
        audit.close()
        return run.report(0)


def test_a_boundary_that_holds_is_found_to_hold(tmp_path: Path) -> None:
    report = asyncio.run(leaks_of(tmp_path, Policy("allow")))
    assert report.leaks == ()
    assert report.passed
    assert (report.public.kept, report.harmless.kept) == (0, 0)


def test_a_boundary_that_leaks_is_found_to_leak(tmp_path: Path) -> None:
    report = asyncio.run(leaks_of(tmp_path, OpenPolicy("allow")))
    assert not report.passed
    assert {leak.secret for leak in report.leaks} >= {"question", "history", "conversation", *HELD}
    assert {leak.fault for leak in report.leaks} >= {"none", "error"}


def test_sinks_that_get_nothing_are_no_proof(tmp_path: Path) -> None:
    report = asyncio.run(leaks_of(tmp_path, Policy("hold")))
    assert report.leaks == ()
    assert report.harmless.kept == report.harmless.asked
    nothing = report.model_copy(update={"public": report.harmless})
    assert nothing.trouble
    assert not nothing.passed
