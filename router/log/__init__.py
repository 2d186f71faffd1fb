"""Records, side calls and grades, kept through SQLAlchemy: in SQLite by default, in PostgreSQL by URL."""

from __future__ import annotations

from router.log.backlog import Backlog as Backlog
from router.log.grades import mean_grade as mean_grade
from router.log.grades import parse_grade as parse_grade
from router.log.log import Log as Log
from router.log.moments import now as now
from router.log.moments import parse_moment as parse_moment
from router.log.places import Place as Place
from router.log.places import place_in as place_in
from router.log.places import place_of as place_of
from router.log.retention import Keep as Keep
from router.log.tally import ModeTally as ModeTally
from router.log.tally import Spend as Spend
