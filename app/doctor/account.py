"""Checks of the account: the right one, open to programs, and what a day may cost it."""

from collections.abc import Iterator
from decimal import Decimal

from app.adapters.mt5.dialect import WireAccount, WireSymbol
from app.doctor.facts import Facts
from app.doctor.findings import Finding, fails, ok, warning
from app.domain.errors import UnavailableError

_TRADE_MODES = ("demo", "contest", "real")
"""Of accounts, by MetaTrader's number."""
_REAL = "real"
_DISABLED, _LONG_ONLY, _SHORT_ONLY, _CLOSE_ONLY, _FULL = range(5)
_SYMBOL_MODES = {
    "DISABLED": _DISABLED,
    "LONGONLY": _LONG_ONLY,
    "SHORTONLY": _SHORT_ONLY,
    "CLOSEONLY": _CLOSE_ONLY,
    "FULL": _FULL,
}
"""Of symbols, by the end of MetaTrader's name for them."""
_NOTHING_OPENED = {_DISABLED: "is not traded on this account", _CLOSE_ONLY: "may only be closed"}
_ONE_SIDE = {_LONG_ONLY: "may only be bought", _SHORT_ONLY: "may only be sold"}
_FILLING = {1: "fill or kill", 2: "immediate or cancel"}
"""By MetaTrader's bit."""


def account(facts: Facts) -> Iterator[Finding]:
    """See that the terminal is logged in to the account that is to be traded."""
    found, pinned = facts.account, facts.settings.broker.live_account
    kind = _kind(found)
    if pinned not in {None, found.login}:
        yield fails(
            f"the terminal is logged in to account {found.login} on {found.server}, "
            f"expected {pinned}",
            f"log the terminal in to {pinned}, or set LIVE_ACCOUNT={found.login}",
        )
        return
    yield ok(
        f"{found.login} on {found.server}, {kind}, balance {found.balance:,.2f} {found.currency}"
    )
    if pinned is None:
        money = ", with real money" if kind == _REAL else ""
        yield warning(
            f"whatever account the terminal is logged in to is traded{money}",
            f"set LIVE_ACCOUNT={found.login}",
        )


def _kind(found: WireAccount) -> str:
    said = str(found.trade_mode).upper().rpartition("_")[2]
    if said.isdecimal() and int(said) < len(_TRADE_MODES):
        return _TRADE_MODES[int(said)]
    return said.lower() if said.lower() in _TRADE_MODES else "of an unknown kind"


def autotrading(facts: Facts) -> Iterator[Finding]:
    """See that terminal, account and broker let programs trade."""
    found = facts.account
    barred = []
    if facts.health.trade_allowed is False:
        barred.append(("off in the terminal", "switch Algo Trading on in the terminal's toolbar"))
    if found.trade_allowed is False:
        barred.append(("not allowed to this login", "log in with the password that may trade"))
    if found.trade_expert is False:
        barred.append(("forbidden by the broker", "ask the broker to allow programs to trade"))
    if barred:
        says, fixes = zip(*barred, strict=True)
        yield fails(f"trading is {', '.join(says)}", "; ".join(fixes), UnavailableError)
    elif None in {facts.health.trade_allowed, found.trade_allowed, found.trade_expert}:
        yield warning(
            "the bridge does not say everywhere whether programs may trade",
            "see that Algo Trading is on in the terminal's toolbar",
        )
    else:
        yield ok("allowed in the terminal, to this login and by the broker")


def tradable(facts: Facts) -> Iterator[Finding]:
    """See that orders in every symbol are taken, at all and now."""
    for symbol, found in facts.described.items():
        mode = _mode(found)
        if mode in _NOTHING_OPENED:
            yield fails(
                f"{symbol} {_NOTHING_OPENED[mode]}",
                "trade another of the broker's symbols, or ask the broker",
            )
        elif mode in _ONE_SIDE:
            yield warning(
                f"{symbol} {_ONE_SIDE[mode]}", "leave the other side out of its strategies"
            )
        elif not facts.in_session.get(symbol, True):
            yield warning(f"{symbol} is not traded now", "wait until its session begins")
        else:
            yield ok(f"{symbol} is traded now")


def _mode(found: WireSymbol) -> int | None:
    said = str(found.trade_mode).upper().rpartition("_")[2]
    return int(said) if said.isdecimal() else _SYMBOL_MODES.get(said)


def filling(facts: Facts) -> Iterator[Finding]:
    """See that orders at market are filled in a usual way."""
    for symbol, found in facts.described.items():
        if found.filling_mode is None:
            yield ok(f"the bridge does not say how {symbol} is filled, and chooses")
            continue
        ways = [name for bit, name in _FILLING.items() if found.filling_mode & bit]
        if ways:
            yield ok(f"{symbol} {' or '.join(ways)}")
        else:
            yield warning(
                f"{symbol} is filled by neither {' nor '.join(_FILLING.values())}",
                "see that the bridge sends ORDER_FILLING_RETURN for it",
            )


def netting(facts: Facts) -> Iterator[Finding]:
    """See that every strategy can hold a position of its own."""
    told = facts.account.hedging
    hedging = facts.settings.broker.hedging if told is None else told
    if told is None:
        yield warning(
            f"the bridge does not say whether it is hedging: {hedging} is trusted",
            "see that BROKER_HEDGING is true on a hedging account and false on a netting one",
        )
    if hedging:
        yield ok("hedging: a position for every order")
        return
    yield ok("netting: one position a symbol")
    for symbol, loaded in facts.strategies.items():
        if len(loaded) > 1:
            names = ", ".join(one.rules.name for one in loaded)
            yield warning(
                f"{names} share one position in {symbol}: while one holds it the others open "
                "nothing",
                f"enable one strategy of {symbol}, or use a hedging account",
            )


def limits(facts: Facts) -> Iterator[Finding]:
    """See that the limit of a day's loss leaves something of the account."""
    found, risk = facts.account, facts.entry_rules.limits
    limit = risk.daily_loss_limit
    if limit is None:
        yield warning("no limit of a day's loss", "set RISK_DAILY_LOSS_LIMIT")
    elif limit >= found.equity:
        yield warning(
            f"risk.daily_loss_limit {limit} is all of the equity, {_money(found.equity)} "
            f"{found.currency}",
            "set RISK_DAILY_LOSS_LIMIT to what a day may cost",
        )
    else:
        share = limit / found.equity
        yield ok(
            f"{_money(limit)} {found.currency} a day, {share:.1%} of the equity; "
            f"{risk.max_positions} positions, {risk.max_position_size} lots each"
        )


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"
