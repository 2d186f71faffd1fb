"""Boundaries for tests that are about something else: the policy, and no audit log."""

from __future__ import annotations

from router.egress import Boundary, Policy

ALLOWING = Boundary.of_recordings(Policy("allow"))
