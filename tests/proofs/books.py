"""The bridge's book against the journal: what was doubled, what was lost.

Both are read as they stand, the book over HTTP and the journal by SQL of our own: nothing of the
daemon judges the daemon.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import NullPool, create_engine, text

from tests.proofs.play import LOTS_BEFORE_LEAVING, STOP_BEFORE_LEAVING, Run

Row: TypeAlias = Mapping[str, Any]

KINDS = ("doubled", "lost", "wrong")
"""Of faults."""

_TABLES = ("intents", "deals", "plans", "blocks")
_DOUBTFUL = {"sending", "unknown"}
_EXECUTED = {"placed", "filled"}


class Fault(NamedTuple):
    """What must never be, by kind."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


class Books(NamedTuple):
    """The bridge's deals, orders by client id and positions, and the journal's tables."""

    deals: Mapping[int, Row]
    orders: Mapping[str, list[int]]
    positions: list[Row]
    journal: Mapping[str, list[Row]]

    @property
    def bought(self) -> int:
        """How many positions were opened."""
        return sum(deal["entry"] == "IN" for deal in self.deals.values())


def read(run: Run) -> Books:
    """Read both sides of a run's account."""
    book = run.bridge.ledger()
    orders: dict[str, list[int]] = {}
    for receipt in book["received"]:
        if receipt["order"]:
            orders.setdefault(receipt["client_id"], []).append(receipt["order"])
    return Books(
        deals={deal["ticket"]: deal for deal in book["deals"] if deal["symbol"]},
        orders=orders,
        positions=book["positions"],
        journal=_journal(run.journal_url, f"{book['server']}:{book['login']}"),
    )


def _journal(url: str, account: str) -> dict[str, list[Row]]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with closing(engine.connect()) as connection:
        return {
            table: [
                row._asdict()
                for row in connection.execute(
                    text(f"SELECT * FROM {table} WHERE account = :account"), {"account": account}
                )
            ]
            for table in _TABLES
        }


def differences(books: Books) -> Iterator[Fault]:
    """Yield what is wrong once a restarted daemon has had time to look (I1, I3, I5)."""
    yield from _doubles(books)
    yield from _unlike_deals(books)
    yield from _unlike_orders(books)
    planned = {plan["ticket"] for plan in books.journal["plans"]}
    for held in books.positions:
        if held["ticket"] not in planned:
            yield Fault("lost", f"position {held['ticket']} is managed by nobody")
        elif not held["sl"]:
            yield Fault("wrong", f"position {held['ticket']} has no stop")
    for block in books.journal["blocks"]:
        yield Fault("wrong", f"an operator is needed: {block['reason']}, {block['detail']}")


def _doubles(books: Books) -> Iterator[Fault]:
    for client_id, tickets in books.orders.items():
        if len(tickets) > 1:
            yield Fault("doubled", f"{client_id} was executed as the orders {tickets}")
    bought: Counter[str] = Counter()
    lots: dict[int, Decimal] = defaultdict(Decimal)
    for deal in books.deals.values():
        inward = deal["entry"] == "IN"
        bought[_strategy(deal)] += inward
        lots[deal["position_id"]] += _exact(deal["volume"]) * (1 if inward else -1)
    for strategy, times in bought.items():
        if times > 1:
            yield Fault("doubled", f"{strategy} bought {times} times at one signal")
    for position, left in lots.items():
        if left < 0:
            yield Fault("doubled", f"more was closed of position {position} than opened: {-left}")


def _strategy(row: Row) -> str:
    """Return whose a position or an entry's deal is, by its comment; empty of exits."""
    return str(row["comment"]).partition(" ")[2]


def _exact(number: object) -> Decimal:
    """Return a number of either book as it is written."""
    return Decimal(str(number))


def _unlike_deals(books: Books) -> Iterator[Fault]:
    noted = {row["ticket"]: _fill(row) for row in books.journal["deals"]}
    made = {ticket: _fill(deal) for ticket, deal in books.deals.items()}
    for ticket in sorted(noted.keys() | made.keys()):
        if noted.get(ticket) != made.get(ticket):
            yield Fault(
                "lost", f"deal {ticket} is {made.get(ticket)}, the journal says {noted.get(ticket)}"
            )


def _fill(row: Row) -> tuple[Decimal, Decimal]:
    """Return lots and price."""
    return _exact(row["volume"]), _exact(row["price"])


def _unlike_orders(books: Books) -> Iterator[Fault]:
    intents = {row["client_id"]: row for row in books.journal["intents"]}
    for client_id, tickets in books.orders.items():
        if client_id not in intents:
            yield Fault("lost", f"the journal does not know order {tickets}, {client_id}")
    executed: dict[str, Decimal] = defaultdict(Decimal)
    for deal in books.journal["deals"]:
        executed[deal["client_id"]] += _exact(deal["volume"])
    for client_id, intent in intents.items():
        said = f"{intent['action']} {client_id} is {intent['state']}"
        if intent["state"] in _DOUBTFUL:
            yield Fault("lost", f"{said} still: {intent['detail']}")
        elif intent["state"] in _EXECUTED and executed[client_id] != _exact(intent["volume"]):
            yield Fault("lost", f"{said}, its deals are of {executed[client_id]} lots")
        elif intent["state"] not in _EXECUTED and executed[client_id]:
            yield Fault("lost", f"{said}, and was executed")
        elif intent["state"] == "placed":
            yield Fault("lost", f"{said} and never filled")


def unmanaged(books: Books) -> Iterator[Fault]:
    """Yield what a position lacks as the strategies are about to leave: its parts, its stop."""
    for held in books.positions:
        strategy = _strategy(held)
        lots, stop = LOTS_BEFORE_LEAVING[strategy], STOP_BEFORE_LEAVING[strategy]
        if _exact(held["volume"]) != lots:
            kind = "lost" if _exact(held["volume"]) > lots else "doubled"
            yield Fault(kind, f"{strategy} has {held['volume']} lots open, should have {lots}")
        if _exact(held["sl"]) != stop:
            yield Fault("lost", f"the stop of {strategy} stands at {held['sl']}, not at {stop}")
    if books.bought != len(books.positions):
        yield Fault("doubled", f"of {books.bought} positions {len(books.positions)} are left")


def unfinished(books: Books) -> Iterator[Fault]:
    """Yield what is left open at the end of the play."""
    for held in books.positions:
        yield Fault("lost", f"the exit of position {held['ticket']}: {held['volume']} lots open")
    for plan in books.journal["plans"]:
        yield Fault("lost", f"the end of position {plan['ticket']}: its plan is still kept")


def said_wrong(said: str) -> Iterator[Fault]:
    """Yield what does not belong into the log of a run."""
    if "Traceback" in said:
        yield Fault("wrong", f"a traceback: {said[said.index('Traceback') :][:2000]}")
    for line in said.splitlines():
        if " ERROR" in line or " CRITICAL" in line:
            yield Fault("wrong", line)
    if "Shutdown complete" not in said[-200:]:
        yield Fault("wrong", f"it did not end in order: {said[-500:]}")
