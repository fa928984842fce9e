"""The candles of a backtest's chart: few enough to be drawn at once, however many were played."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from app.backtest.outcome import Chart, ChartBar
from app.bus import EventBus
from app.domain.broker_time import EPOCH, ServerTime
from app.domain.market import Candle, Timeframe
from app.events import NewCandleEvent, RegimeChangedEvent

MOST_BARS = 20_000
_COARSER = ("1", "5", "15", "30", "60", "240", "1440", "10080")


class Charting:
    """Listens on `bus` to the candles of one symbol and joins them to bars of the chart.

    `timeframes` are those played; the slowest that is fine enough is listened to. `span` is how
    long the run may be.
    """

    _bar: ChartBar
    """The newest bar."""

    def __init__(
        self,
        bus: EventBus,
        symbol: str,
        timeframes: Sequence[Timeframe],
        span: timedelta,
        server_time: ServerTime,
    ) -> None:
        self._symbol = symbol
        self._server_time = server_time
        self._drawn = _fine_enough(timeframes, span)
        self._heard = max(
            (one for one in timeframes if one.minutes <= self._drawn.minutes),
            key=lambda one: one.minutes,
        )
        self._bars: list[ChartBar] = []
        self._ends = EPOCH
        """When the last bar is over."""
        self._regime = ""
        bus.subscribe(NewCandleEvent, self._on_candle, owner="backtest")
        bus.subscribe(RegimeChangedEvent, self._on_regime, owner="backtest")

    @property
    def chart(self) -> Chart:
        """The chart so far."""
        return Chart(self._symbol, self._drawn, self._bars)

    def _on_regime(self, event: RegimeChangedEvent) -> None:
        if event.symbol == self._symbol and event.timeframe == self._heard:
            self._regime = event.new_regime

    def _on_candle(self, event: NewCandleEvent) -> None:
        candle = event.candle
        if candle.timeframe != self._heard or candle.symbol != self._symbol:
            return
        if candle.time >= self._ends:
            self._begin_bar(candle)
        bar = self._bar
        bar.high = max(bar.high, candle.high)
        bar.low = min(bar.low, candle.low)
        bar.close = candle.close
        bar.regime = self._regime

    def _begin_bar(self, candle: Candle) -> None:
        opens = self._server_time.candle_open(self._drawn, candle.time)
        self._ends = self._server_time.candle_close(self._drawn, opens)
        price = candle.open
        self._bar = ChartBar(opens, price, price, price, price, self._regime)
        self._bars.append(self._bar)


def _fine_enough(timeframes: Iterable[Timeframe], span: timedelta) -> Timeframe:
    """Return the finest timeframe, those played first, of which `span` holds few enough bars."""
    played = sorted(timeframes, key=lambda one: one.minutes)
    coarser = [one for one in map(Timeframe, _COARSER) if one.minutes > played[-1].minutes]
    choices = [*played, *coarser]
    return next((one for one in choices if span / one.delta <= MOST_BARS), choices[-1])
