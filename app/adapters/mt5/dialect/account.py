"""What a bridge says of itself, the account and the market."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import msgspec

from app.adapters.mt5.dialect.readings import Row, kind_of, shown
from app.domain.errors import SourceError

_HEDGING_MODE = "2"
_MOST_DIGITS = 10
_CONNECTED = ("terminal_connected", "mt5_connected", "connected")
_BROKEN = frozenset({"disconnected", "error", "unhealthy", "down", "offline", "failed"})


class WireHealth(msgspec.Struct, frozen=True):
    """What a bridge says of itself; ``None`` is what it does not say.

    `connected` is the terminal's connection to its broker. A simulated market tells its time in
    `clock` (aware UTC) and in `speed` how many of its seconds pass in one, 0 when it is stepped.
    `offers` names what it can do beyond the dialect.
    """

    connected: bool | None = None
    trade_allowed: bool | None = None
    clock: datetime | None = None
    speed: float | None = None
    offers: frozenset[str] = frozenset()

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return it as told; a status that only says "ok" tells nothing of the terminal."""
        connected = row.flag(*_CONNECTED)
        status = row.text("status").lower()
        if connected is None and (status == "connected" or status in _BROKEN):
            connected = status == "connected"
        speed = row.number("speed")
        offers = row.value("offers")
        return cls(
            connected=connected,
            trade_allowed=row.flag("trade_allowed"),
            clock=row.time("clock"),
            speed=None if speed is None else max(0.0, float(speed)),
            offers=frozenset(map(str, offers)) if isinstance(offers, list) else frozenset(),
        )


class WireAccount(msgspec.Struct, frozen=True):
    """The account; money in `currency`, `leverage` 1:n; ``None`` is what the bridge does not say.

    `trade_allowed` is the account's permission to trade, `trade_expert` that of programs.
    """

    login: int
    server: str
    name: str
    currency: str
    leverage: int
    balance: Decimal
    equity: Decimal
    margin: Decimal
    margin_free: Decimal
    trade_mode: str | int | None = None
    hedging: bool | None = None
    trade_allowed: bool | None = None
    trade_expert: bool | None = None

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return the account as stated."""
        return cls(
            login=row.ticket("login"),
            server=row.text("server"),
            name=row.text("name"),
            currency=row.needed_text("currency"),
            leverage=row.needed_whole("leverage"),
            balance=row.needed_number("balance"),
            equity=row.needed_number("equity"),
            margin=row.needed_number("margin"),
            margin_free=row.needed_number("margin_free"),
            trade_mode=row.mode("trade_mode"),
            hedging=_hedging(row),
            trade_allowed=row.flag("trade_allowed"),
            trade_expert=row.flag("trade_expert"),
        )


def _hedging(row: Row) -> bool | None:
    told, mode = row.flag("hedging"), row.text("margin_mode").upper()
    if told is not None or not mode:
        return told
    return mode == _HEDGING_MODE or "HEDGING" in mode


class WireMargin(msgspec.Struct, frozen=True):
    """What of the account is bound: account currency; `level` in percent, ``None`` when flat."""

    margin: Decimal
    margin_free: Decimal
    level: Decimal | None

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return it as stated."""
        return cls(
            margin=row.needed_number("margin"),
            margin_free=row.needed_number("margin_free"),
            level=row.number("margin_level"),
        )


class WireSymbol(msgspec.Struct, frozen=True):
    """What orders in a symbol must obey: volumes in lots, levels in points.

    `tick_value` is what one lot gains, in account currency, when the price rises by `tick_size`.
    """

    name: str
    digits: int
    point: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    contract_size: Decimal | None
    tick_value: Decimal | None
    tick_size: Decimal | None
    stops_level: int
    freeze_level: int
    filling_mode: int | None
    currency_base: str
    currency_profit: str
    trade_mode: str | int | None

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return the symbol; a size of 0 is one that is not known."""
        digits = row.needed_whole("digits")
        if not 0 <= digits <= _MOST_DIGITS:
            raise row.error(f"digits {digits} cannot be true")
        return cls(
            name=row.needed_text("name", "symbol"),
            digits=digits,
            point=row.positive("point"),
            volume_min=row.positive("volume_min"),
            volume_max=row.positive("volume_max"),
            volume_step=row.positive("volume_step"),
            contract_size=row.price("trade_contract_size", "contract_size"),
            tick_value=row.price("trade_tick_value", "tick_value"),
            tick_size=row.price("trade_tick_size", "tick_size"),
            stops_level=row.whole("trade_stops_level", "stops_level") or 0,
            freeze_level=row.whole("trade_freeze_level", "freeze_level") or 0,
            filling_mode=row.whole("filling_mode"),
            currency_base=row.text("currency_base"),
            currency_profit=row.text("currency_profit"),
            trade_mode=row.mode("trade_mode"),
        )


class WireTick(msgspec.Struct, frozen=True):
    """The latest quote of a symbol and when it came, aware UTC."""

    symbol: str
    time: datetime
    bid: Decimal
    ask: Decimal

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return the quote; SourceError when there is none yet, or the bid is above the ask."""
        bid, ask = row.positive("bid"), row.positive("ask")
        if bid > ask:
            raise row.error(f"bid {bid} above ask {ask} cannot be true")
        return cls(row.needed_text("symbol"), row.needed_time("time", "time_msc"), bid, ask)


def balance(row: Row) -> Decimal:
    """Return the balance, account currency."""
    return row.needed_number("balance")


def equity(row: Row) -> Decimal:
    """Return the balance and what floats, account currency."""
    return row.needed_number("equity")


def leverage(row: Row) -> int:
    """Return the n of 1:n."""
    return row.needed_whole("leverage")


def is_tradable(row: Row) -> bool:
    """Say whether orders in the symbol are taken now."""
    return row.needed_flag("is_tradable")


def is_selected(row: Row) -> bool:
    """Say whether the terminal watches the symbol now."""
    return row.needed_flag("success")


def names(said: object, about: str) -> list[str]:
    """Return a list of names; SourceError when it is none."""
    if not isinstance(said, list):
        raise SourceError(f"{about}: expected a list of names, not {kind_of(said)}")
    for name in said:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise SourceError(f"{about}: {shown(name)} is not a name")
    return said
