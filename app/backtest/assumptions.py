"""What a backtest takes for granted, in words: fills, costs, candles, warm-up."""

from collections.abc import Iterator

from app.domain.instruments import instrument
from app.settings import Settings


def assumptions(settings: Settings, costs: int = 1) -> Iterator[str]:
    """Yield what was assumed, a sentence or two each; docs/PAPER_BROKER.md has the rules.

    `costs` is how many times what trading costs was charged.
    """
    paper = settings.broker.paper
    currency = paper.currency
    slippage = costs * paper.slippage_points
    yield (
        "Fills: an order decided on a closed candle is filled by the next one, at its open or "
        "where its price is touched; sells at the bid, buys at the ask; market orders, stop orders "
        f"and stop losses {slippage:g} points worse, limits and take profits never worse."
    )
    yield (
        "Several targets: all but the last are looked at when a base candle closes, and their "
        "parts closed at market."
    )
    yield f"Spread: {_spread(settings, costs)}."
    commission = costs * paper.commission_per_lot
    yield (
        f"Costs: {commission} {currency} commission a lot and side, no swaps; "
        "nothing for delays, partial fills or refusals of a busy market."
    )
    yield (
        "Within a candle: where stop and target are both touched the stop counts, and whatever "
        "else a candle leaves open is decided against the trade."
    )
    yield (
        "Time exits: at the first close of a base candle after their time; live they do not wait "
        "for the candle."
    )
    yield (
        "Warm-up: a strategy decides nothing until all its columns are known; bars before the "
        "start are history, not traded."
    )
    yield (
        f"Account: {paper.balance:,.2f} {currency}, leverage 1:{paper.leverage}, "
        f"{'hedging' if paper.hedging else 'netting'}; equity is looked at when candles close."
    )


def _spread(settings: Settings, costs: int) -> str:
    fixed = settings.broker.paper.spread_points
    if not costs:
        return "none"
    if fixed is not None:
        return f"{costs * fixed:g} points at all times"
    usual = (
        f"{symbol} {costs * known.spread} points ({costs * known.spread * known.point:f})"
        for symbol in settings.symbols
        for known in [instrument(symbol)]
    )
    own = "the candle's own" if costs == 1 else f"{costs} times the candle's own"
    return f"{own}; where the data have none, {', '.join(usual)}"
