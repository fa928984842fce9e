"""What a bridge is started with."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from app.bridge.terms import Terms
from app.domain.broker_time import ServerTime


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The market, the account, the broker's ways, and where and how all this is served.

    `speed` is market seconds a second, 0 for a clock stepped by hand; `start` aware UTC; levels
    are points; `balance` is account currency; `holidays` end at 17:00 New York. `faults` opens the
    control of what goes wrong, and `fault_rate` of all calls go wrong by themselves.
    """

    host: str
    port: int
    prefix: str
    symbols: tuple[str, ...]
    suffix: str
    seed: int
    files: tuple[Path, ...]
    start: datetime | None
    speed: float
    holidays: tuple[date, ...]
    server_time: ServerTime
    stops_level: int
    freeze_level: int
    balance: Decimal
    terms: Terms
    utc_times: bool
    plain: bool
    ledger: Path | None
    faults: bool
    fault_rate: float
    fault_seed: int

    @property
    def market(self) -> str:
        """What is traded on, in words."""
        kind = "recorded" if self.files else f"simulated (seed {self.seed})"
        return f"{kind} {', '.join(f'{symbol}{self.suffix}' for symbol in self.symbols)}"
