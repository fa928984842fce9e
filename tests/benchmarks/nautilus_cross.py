"""The EMA cross of `bench_backtest` for nautilus_trader.

It knows a bar from its close on, and fills a market order there and then: at the bar's close, at
the moment the next bar opens. In these bars that is the next open's price too. Its averages begin
with the first close, TA-Lib's with a mean; by the first cross of these bars both are as one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from bench_backtest import FAST, SLOW, Run, Trade
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import EUR, USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
PAIR = CurrencyPair(
    instrument_id=InstrumentId(Symbol("EURUSD"), VENUE),
    raw_symbol=Symbol("EURUSD"),
    base_currency=EUR,
    quote_currency=USD,
    price_precision=5,
    size_precision=0,
    price_increment=Price.from_str("0.00001"),
    size_increment=Quantity.from_int(1),
    ts_event=0,
    ts_init=0,
)
KIND = BarType.from_str(f"{PAIR.id}-1-MINUTE-LAST-EXTERNAL")


class Cross(Strategy):  # type: ignore[misc]
    """Turns at every cross."""

    def __init__(self) -> None:
        super().__init__()
        self.fast = ExponentialMovingAverage(FAST)
        self.slow = ExponentialMovingAverage(SLOW)
        self.above: bool | None = None
        self.done: list[Trade] = []

    def on_start(self) -> None:
        self.register_indicator_for_bars(KIND, self.fast)
        self.register_indicator_for_bars(KIND, self.slow)
        self.subscribe_bars(KIND)

    def on_bar(self, bar: Any) -> None:
        if not self.indicators_initialized():
            return
        above = self.fast.value > self.slow.value
        if self.above not in (None, above):
            self.close_all_positions(PAIR.id)
            self.submit_order(
                self.order_factory.market(
                    instrument_id=PAIR.id,
                    order_side=OrderSide.BUY if above else OrderSide.SELL,
                    quantity=PAIR.make_qty(1000),
                )
            )
        self.above = above

    def on_position_closed(self, event: Any) -> None:
        self.done.append(
            Trade(
                datetime.fromtimestamp(event.ts_opened / 1e9, UTC),
                1 if event.entry == OrderSide.BUY else -1,
                float(event.avg_px_open),
                float(event.avg_px_close),
            )
        )


def run_of(file: Path) -> Run:
    """Return the run over the bars of a file."""
    frame = pd.read_parquet(file)
    closed = frame.set_index(frame["time"] + timedelta(minutes=1))[["open", "high", "low", "close"]]
    data = BarDataWrangler(KIND, PAIR).process(closed.copy())

    def run() -> Sequence[Trade]:
        engine = BacktestEngine(
            BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False)
        )
        engine.add_venue(
            venue=VENUE,
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=USD,
            starting_balances=[Money(1_000_000, USD)],
        )
        engine.add_instrument(PAIR)
        engine.add_data(data)
        strategy = Cross()
        engine.add_strategy(strategy)
        engine.run()
        engine.dispose()
        return strategy.done

    return run
