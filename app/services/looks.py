"""What several looks at the account in a row agree on."""

from collections.abc import Hashable
from datetime import datetime
from typing import NamedTuple


class Row(NamedTuple):
    """So many looks in a row, the first of them at `since` (UTC)."""

    looks: int
    since: datetime


class Looks:
    """Counts what each look shows, or does not show; what one leaves out begins anew."""

    def __init__(self) -> None:
        self._before: dict[Hashable, Row] = {}
        self._now: dict[Hashable, Row] = {}

    def begin(self) -> None:
        """Begin a look."""
        self._before, self._now = self._now, {}

    def count(self, what: Hashable, at: datetime) -> Row:
        """Count `what` in this look at `at`; return its row up to now."""
        row = self._before.get(what, Row(0, at))
        self._now[what] = Row(row.looks + 1, row.since)
        return self._now[what]
