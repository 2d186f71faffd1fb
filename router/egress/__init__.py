"""The boundary of the device: everything that leaves it passes here (README.md)."""

from __future__ import annotations

from router.egress.audit import AuditLog as AuditLog
from router.egress.audit import NotAudited as NotAudited
from router.egress.boundary import Boundary as Boundary
from router.egress.gate import Gated as Gated
from router.egress.policy import Policy as Policy
from router.egress.rows import Leaving as Leaving
from router.egress.rows import Row as Row
from router.egress.rows import read_rows as read_rows
