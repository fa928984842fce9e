"""What the commands beside the daemon do: set and show the kill switch, compare the ledgers."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from app.adapters.journal.lock import holder_of
from app.adapters.journal.reader import JournalReader, read_journal
from app.adapters.switch_file import read_switch, write_switch
from app.domain.errors import JournalError, PermissionDeniedError, printable
from app.domain.orders import Block
from app.ledger_check import Comparison, Fill, Order, compare
from app.ports import Broker, Switch
from app.settings import Settings

BEGINNING = datetime.min.replace(tzinfo=UTC)


def set_switch(settings: Settings, switch: Switch) -> str:
    """Set the kill switch; return what to tell the operator.

    The journal is not asked: entries can be stopped whatever has happened to it.

    Raises:
        PermissionDeniedError: the file may not be written.
        JournalError: it cannot be written.

    """
    file = settings.risk.switch_file
    try:
        write_switch(file, switch)
    except PermissionError as error:
        raise PermissionDeniedError(f"kill switch {file}: {error.strerror}") from error
    except OSError as error:
        raise JournalError(f"kill switch {file}: {error.strerror}") from error
    effect = (
        "every block is lifted and entries are allowed"
        if switch.enabled
        else "no entry is made; stops, targets and exits work on"
    )
    return f"{_said(switch)} in {file}: from the daemon's next cycle on {effect}"


def nobody_here(settings: Settings) -> str:
    """Say that no daemon can have seen the switch: where it is not, the command does nothing."""
    return (
        f"no daemon has traded by {settings.journal.folder.absolute()}: "
        "give the command in the folder of the one that is meant"
    )


def say_switch(settings: Settings, now: datetime) -> Iterator[str]:
    """Say how the switch stands, and of each account who holds it and what blocks its entries.

    Raises:
        JournalError: the journal cannot be read.

    """
    switch = read_switch(settings.risk.switch_file)
    stands = "not set, entries are allowed" if switch is None else _said(switch)
    yield f"switch: {stands} ({settings.risk.switch_file})"
    journal = read_journal(settings.journal.address)
    if journal is None:
        yield "journal: none yet"
        return
    with journal:
        yield f"journal: {journal.name}"
        for account in journal.accounts():
            yield from _say_account(settings, journal, account, now)


def _say_account(
    settings: Settings, journal: JournalReader, account: str, now: datetime
) -> Iterator[str]:
    holder = holder_of(account, settings.journal.address, settings.journal.locks)
    yield f"account {account}: held by {holder or 'nobody'}"
    # The market of a rehearsal has a clock of its own, at which its blocks end.
    at = min(now, journal.newest_candle(account) or now)
    blocks = journal.blocks(account, at)
    for block in blocks:
        over = block.until is not None and block.until <= now
        yield f"  blocked: {_of_block(block)}{', which is over by the clock here' * over}"
    if not blocks:
        yield "  nothing blocks entries"


def _said(switch: Switch) -> str:
    word = "ENABLE" if switch.enabled else "DISABLE"
    why = f" ({printable(switch.reason)})" if switch.reason else ""
    return f"{word} since {_at(switch.at)}{why}"


def _of_block(block: Block) -> str:
    of = f" of {block.strategy}" if block.strategy else ""
    until = f" until {_at(block.until)}" if block.until else ", until the operator lifts it"
    return f"{block.reason}{of} since {_at(block.since)}{until}: {block.detail}"


def _at(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Ledger(msgspec.Struct, frozen=True):
    """The journal of an account compared with its broker, from a time on (UTC)."""

    journal: str
    account: str
    since: datetime
    comparison: Comparison


def compare_ledgers(
    settings: Settings, broker: Broker, since: datetime | None, now: datetime
) -> Ledger:
    """Compare what journal and broker know since a time, by default of all the journal holds.

    Raises:
        JournalError: there is no journal, or it cannot be read.
        SourceError: the broker does not answer.

    """
    seen = broker.account()
    account = f"{seen.server}:{seen.login}"
    journal = read_journal(settings.journal.address)
    if journal is None:
        raise JournalError("there is no journal yet: the daemon has not traded here")
    with journal:
        records = journal.records(account, since or BEGINNING)
        booked = journal.deals(account, since or BEGINNING)
        times = [record.sent_at for record in records] + [deal.time for deal, _ in booked]
        start = since or min(times, default=now)
        compared = compare(records, booked, broker.deals(start), broker.orders())
        return Ledger(journal.name, account, start, compared)


def say_ledger(ledger: Ledger) -> Iterator[str]:
    """Say both sides of every order, and the difference."""
    yield f"journal {ledger.journal}, account {ledger.account}, since {_at(ledger.since)}"
    yield from (_of_order(order) for order in ledger.comparison.orders)
    differences = ledger.comparison.differences
    yield f"difference: {len(differences) or 'none'}"
    yield from (f"  {printable(difference)}" for difference in differences)


def _of_order(order: Order) -> str:
    what = f"{order.action} {order.symbol} {order.direction} {order.volume}"
    ticket = f" order {order.ticket}" if order.ticket else ""
    sides = f"journal {_of_fills(order.journal)} | broker {_of_fills(order.broker)}"
    return f"{order.client_id}  {what}  {order.state}{ticket}  {sides}"


def _of_fills(fills: Sequence[Fill]) -> str:
    return ", ".join(f"{it.volume} at {it.price} (deal {it.deal})" for it in fills) or "nothing"
