"""What a backtest takes for granted, in words: fills, costs, candles, warm-up."""

from collections.abc import Iterator

from app.settings import Settings


def assumptions(settings: Settings) -> Iterator[str]:
    """Yield what was assumed, a sentence or two each; docs/PAPER_BROKER.md has the rules."""
    paper = settings.broker.paper
    currency = paper.currency
    yield (
        "Fills: an order decided on a closed candle is filled by the next one, at its open or "
        "where its price is touched; sells at the bid, buys at the ask; market orders, stop orders "
        f"and stop losses {paper.slippage_points:g} points worse, limits and targets never worse."
    )
    yield "Spread: " + (
        "the candle's own, and the usual one of the symbol where the data have none."
        if paper.spread_points is None
        else f"{paper.spread_points:g} points at all times."
    )
    yield (
        f"Costs: {paper.commission_per_lot} {currency} commission a lot and side, no swaps; "
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
