"""The soak of the gateway, in small: some hundred calls while everything breaks, and nothing comes of it."""

from __future__ import annotations

import logging

import pytest

from tests.soak.gateway import Report, soak


def test_a_short_soak_has_no_violation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    report = soak(calls=400, seed=1)
    assert report.violations == ()
    assert sum(report.ends.values()) == 400
    assert report.ends["edge"]
    assert report.ends["cloud"]
    assert len(report.faults) > 2
    assert "no violation" in report.text()
    assert Report.model_validate_json(report.model_dump_json()) == report
