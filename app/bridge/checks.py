"""Why a trade server refuses an order: pure checks that raise Refused with the return code."""

from decimal import Decimal

from app.bridge.retcodes import Retcode
from app.bridge.values import NONE, OrderRequest, OrderType, Refused, Side, Symbol, Tick

_LARGEST_MAGIC = 2**63 - 1


def check_volume(symbol: Symbol, volume: Decimal) -> None:
    """Volumes are ``volume_min + k * volume_step``, up to `volume_max`."""
    inside = symbol.volume_min <= volume <= symbol.volume_max
    if not inside or (volume - symbol.volume_min) % symbol.volume_step:
        raise Refused(Retcode.INVALID_VOLUME)


def check_order(symbol: Symbol, request: OrderRequest, tick: Tick) -> None:
    """Check all of a new order that does not concern the account."""
    if abs(request.magic) > _LARGEST_MAGIC:
        raise Refused(Retcode.INVALID)
    check_volume(symbol, request.volume)
    check_price(symbol, request.type, request.price, request.stop_limit, tick)
    side = request.type.side
    market = tick.closes(side)
    if not request.type.is_market:
        market = request.stop_limit or request.price
    check_stops(symbol, side, market, request.sl, request.tp)


def check_price(
    symbol: Symbol, kind: OrderType, price: Decimal, stop_limit: Decimal, tick: Tick
) -> None:
    """Check where a pending order waits; a market order's price does not matter.

    Buy limits and sell stops wait below the market, sell limits and buy stops above it, at least
    `stops_level` points away. A stop-limit order waits like a stop, for a better price than that.
    """
    if kind.is_market:
        return
    buys = kind.side is Side.BUY
    below = buys is kind.is_limit
    if not _is_away(symbol, price, tick.opens(kind.side), below=below):
        raise Refused(Retcode.INVALID_PRICE)
    if kind.is_stop_limit and not _is_away(symbol, stop_limit, price, below=buys):
        raise Refused(Retcode.INVALID_PRICE)


def check_stops(symbol: Symbol, side: Side, market: Decimal, sl: Decimal, tp: Decimal) -> None:
    """Check stops against the price the position would be closed at, or opened at if pending."""
    buys = side is Side.BUY
    if (sl and not _is_away(symbol, sl, market, below=buys)) or (
        tp and not _is_away(symbol, tp, market, below=not buys)
    ):
        raise Refused(Retcode.INVALID_STOPS)


def check_thawed(symbol: Symbol, market: Decimal, levels: tuple[Decimal, ...]) -> None:
    """Refuse to touch what the market is about to reach: nearer than `freeze_level` points."""
    nearest = symbol.freeze_level * symbol.point
    if any(level and abs(market - level) <= nearest for level in levels) and nearest:
        raise Refused(Retcode.FROZEN)


def _is_away(symbol: Symbol, level: Decimal, market: Decimal, *, below: bool) -> bool:
    distance = market - level if below else level - market
    on_grid = level > NONE and level % symbol.point == NONE
    return on_grid and distance > NONE and distance >= symbol.stops_level * symbol.point
