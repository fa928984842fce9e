"""From candles to rows: every indicator and the regime of one symbol and timeframe."""

from collections.abc import Sequence
from datetime import datetime

from app.domain.market import Candle, Timeframe
from app.domain.rows import WARMING_UP, Columns, Row, Value
from app.indicators.kind_trial import KindCells
from app.indicators.regime import HigherTimeframeBias, RegimeDetector, RegimeSettings
from app.indicators.registry import IndicatorSpec, columns_of


class IndicatorEngine:
    """Turns each closed candle of one symbol and timeframe into a row.

    There is one definition of each indicator, a function from the next candle to its values; the
    past is taken in by the same function. A cell is ``None`` until it is ready and where it is not
    defined; neither not-a-number nor infinity occurs. Candles must be finite and in order.

    Args:
        symbol: the symbol, for whoever asks.
        timeframe: the timeframe, likewise.
        specs: the indicators, in the order of their columns.
        regime: how the regime is read; ``None`` leaves it at ``warming_up`` for good.
        bias: the lean of a higher timeframe that this one's regime must not go against.
        leads: the bias that this engine's candles make, for lower timeframes.

    Raises:
        IndicatorError: two indicators would give a column of the same name.

    """

    def __init__(
        self,
        symbol: str,
        timeframe: Timeframe,
        specs: Sequence[IndicatorSpec],
        regime: RegimeSettings | None = None,
        *,
        bias: HigherTimeframeBias | None = None,
        leads: HigherTimeframeBias | None = None,
    ) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.columns: Columns = columns_of(specs)
        cells = tuple(spec.cells() for spec in specs)
        self._cells = cells
        self._takes = tuple(one.take if isinstance(one, KindCells) else one for one in cells)
        self._detector = None if regime is None else RegimeDetector(regime, bias)
        self._leads = leads
        self._length = timeframe.delta
        self._seconds = timeframe.minutes * 60.0
        self._second = 0.0
        self._next_time: datetime | None = None

    def warm_up(self, candles: Sequence[Candle]) -> None:
        """Take history in, oldest first, without making rows of it."""
        detector, leads = self._detector, self._leads
        for candle in candles:
            for take in self._takes:
                take(candle)
            if leads is not None:
                leads.update(candle)
            if detector is not None:
                detector.update(candle)

    def update(self, candle: Candle) -> Row:
        """Take in the next closed candle and return its row."""
        time = candle.time
        if time == self._next_time:
            self._second += self._seconds
        else:
            self._second = time.timestamp()
        self._next_time = time + self._length
        values: list[Value] = [
            self._second,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.tick_volume,
        ]
        if self._leads is not None:
            self._leads.update(candle)
        detector = self._detector
        values += (WARMING_UP, None, False) if detector is None else detector.update(candle)
        for cells in self._cells:
            values += cells(candle)
        return Row(candle, self.columns, tuple(values))
