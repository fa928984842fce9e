"""The terminal's positions, orders and symbols as the daemon knows them. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from app.adapters.mt5.dialect import WireAccount, WireOrder, WirePosition, WireSymbol
from app.domain import instruments
from app.domain.errors import ConfigurationError
from app.domain.market import SymbolRules
from app.domain.orders import Account, OrderKind, PendingOrder, Position
from app.domain.signals import Direction

_PAIR = 6
_LONG = 0
_FRACTIONAL_DIGITS = frozenset({3, 5})
"""Where the last digit of a pair is a tenth of a pip."""
_KINDS = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP, OrderKind.STOP)
"""Of MetaTrader's order types, two (bought, sold) for each."""


def account_of(wire: WireAccount, *, hedging: bool) -> Account:
    """Return the account; `hedging` where the bridge does not say whether it is."""
    return Account(
        login=wire.login,
        server=wire.server,
        currency=wire.currency,
        leverage=wire.leverage,
        hedging=hedging if wire.hedging is None else wire.hedging,
        balance=wire.balance,
        equity=wire.equity,
        margin=wire.margin,
        margin_free=wire.margin_free,
    )


def position_of(
    wire: WirePosition, stops: tuple[Decimal | None, Decimal | None] | None, now: datetime
) -> Position:
    """Return a position; `stops` are what we set last, where the bridge does not list them.

    Where it does not tell when a position was opened, that is `now`.
    """
    known = (wire.sl, wire.tp) if wire.tells_stops else stops
    stop_loss, take_profit = known or (None, None)
    return Position(
        ticket=wire.ticket,
        symbol=wire.symbol,
        direction=Direction.LONG if wire.type == _LONG else Direction.SHORT,
        volume=wire.volume,
        price_open=wire.price_open,
        stop_loss=stop_loss,
        take_profit=take_profit,
        profit=wire.profit + wire.commission,
        swap=wire.swap,
        opened_at=wire.time or now,
        magic=wire.magic,
        comment=wire.comment,
        stops_known=known is not None,
    )


def order_of(wire: WireOrder, now: datetime) -> PendingOrder:
    """Return an order that is not filled yet; placed `now` where the bridge does not tell."""
    return PendingOrder(
        ticket=wire.ticket,
        symbol=wire.symbol,
        direction=Direction.SHORT if wire.type % 2 else Direction.LONG,
        kind=_KINDS[min(wire.type // 2, len(_KINDS) - 1)],
        volume=wire.volume,
        price=wire.price_open,
        stop_loss=wire.sl,
        take_profit=wire.tp,
        placed_at=wire.time_setup or now,
        magic=wire.magic,
        comment=wire.comment,
        position=wire.position,
    )


def rules_of(wire: WireSymbol, pip_values: Mapping[str, float | Decimal]) -> SymbolRules:
    """Return what orders in the symbol must obey.

    A pip is what `pip_values` (pips in 1.0 of price) say for the symbol, with or without suffix;
    else that of a symbol known by its name; else ten points where a pair has 3 or 5 digits.

    Raises:
        ConfigurationError: the bridge does not tell the contract size.

    """
    known = instruments.instrument(wire.name)
    size = wire.contract_size
    if size is None:
        raise ConfigurationError(
            f"the bridge does not tell trade_contract_size of {wire.name}: update the bridge"
        )
    return SymbolRules(
        symbol=wire.name,
        digits=wire.digits,
        contract_size=size,
        volume_min=wire.volume_min,
        volume_max=wire.volume_max,
        volume_step=wire.volume_step,
        base_currency=wire.currency_base or known.base_currency,
        profit_currency=wire.currency_profit or known.profit_currency,
        pip=_pip(wire, known, pip_values),
        stops_level=max(wire.stops_level, wire.freeze_level),
    )


def _pip(
    wire: WireSymbol, known: instruments.Instrument, pip_values: Mapping[str, float | Decimal]
) -> Decimal:
    names = (wire.name, wire.name.upper(), wire.name[:_PAIR].upper())
    given = next((pip_values[name] for name in names if name in pip_values), None)
    if given is not None:
        return 1 / Decimal(str(given))
    if known.recognised and known.kind is not instruments.Kind.FX:
        return known.pip
    return wire.point * 10 if wire.digits in _FRACTIONAL_DIGITS else wire.point


def money_per_lot(wire: WireSymbol, account_currency: str) -> Decimal | None:
    """Return what one lot gains when the price rises by 1.0, in account currency.

    Tick value over tick size; without them the contract size, where profits are in the account's
    currency; else ``None``.
    """
    if wire.tick_value is not None and wire.tick_size is not None:
        return wire.tick_value / wire.tick_size
    return wire.contract_size if wire.currency_profit == account_currency else None
