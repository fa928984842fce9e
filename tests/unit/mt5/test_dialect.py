"""Replies read and requests written as the bridges of our users speak."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.adapters.mt5 import dialect
from app.adapters.mt5.dialect import (
    RefusalError,
    WireAccount,
    WireBars,
    WireDeal,
    WireHealth,
    WireMargin,
    WireOrder,
    WirePosition,
    WireResult,
    WireSymbol,
    WireTick,
    bars,
    encoded,
    order_result,
    payload,
    read,
    read_all,
    refused_order,
)
from app.adapters.mt5.server_clock import ServerClock
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from app.domain.market import Timeframe
from tests.unit.mt5.replies import (
    ACCOUNT,
    BALANCE,
    BAR,
    DEAL,
    MARKET_ORDER,
    ORDER,
    POSITION,
    SYMBOL,
    TICK,
)

SERVER = ServerClock(ServerTime("NY+7"))
AT = datetime(2025, 1, 6, 10, 30, tzinfo=UTC)


def sent(said, status=200):
    """Return the payload of what a bridge sends."""
    return payload(status, json.dumps(said).encode(), "call")


def read_as(kind, said):
    return read(kind.read, sent(said), "call", SERVER)


# The envelope


def test_an_object_with_success_is_unwrapped_and_all_else_is_taken_as_it_is() -> None:
    assert sent({"success": True, "data": [1]}) == [1]
    assert sent({"success": True, "data": {"success": False}}) == {"success": False}
    assert sent({"success": True}) is None
    assert sent([1]) == [1]
    assert sent({"data": 1}) == {"data": 1}
    assert sent(None) is None


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (200, {"success": False, "message": "no", "error_code": "E1"}, "call: no (E1)"),
        (200, {"success": False}, "call: HTTP 200"),
        (200, {"success": None, "data": []}, "call: HTTP 200"),
        (404, {"detail": "Not Found"}, "call: Not Found"),
        (500, ["odd"], "call: HTTP 500"),
        (422, {"detail": {"message": "bad volume", "retcode": 10014}}, "call: bad volume"),
        (400, {"success": True, "data": [1], "message": "a\nb"}, "call: a\\nb"),
    ],
)
def test_a_refusal_says_what_the_bridge_said(status, said, message) -> None:
    with pytest.raises(RefusalError) as refused:
        sent(said, status)
    assert str(refused.value) == message
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>Bad gateway</html>", "call: no JSON: '<html>Bad gateway</html>'"),
        (502, b"<html>\n", "call: HTTP 502 '<html>\\n'"),
        (200, b'{"success": true, "data": [', "call: no JSON"),
        (200, b'{"success": true, "data": [{"profit": NaN}]}', "call: no JSON"),
        (200, b"[" * 100_000, "call: no JSON"),
        (200, b"\xff", "call: no JSON"),
        (200, b"", "call: no JSON"),
        (302, b"[]", "call: a redirect (HTTP 302), which is not followed"),
    ],
)
def test_what_is_no_reply_is_a_source_error(status, body, message) -> None:
    with pytest.raises(SourceError) as failed:
        payload(status, body, "call")
    assert str(failed.value).startswith(message)
    assert str(failed.value).isprintable()


def test_only_what_is_read_must_make_sense() -> None:
    """MetaTrader fills what it does not know with the largest double there is.

    Red when fractions are checked while they are decoded: the whole account is no answer.
    """
    for unread in (b"1.7976931348623157e+308", b"1e400", b"1e99999999999999999999"):
        fields = payload(200, b'{"balance": 5.0, "margin_level": %b}' % unread, "call")
        assert read(dialect.balance, fields, "call", SERVER) == 5
        with pytest.raises(SourceError, match="margin_level"):
            read(WireMargin.read, fields | {"margin": 1, "margin_free": 1}, "call", SERVER)


# What is asked


def test_health_tells_what_it_tells_in_any_spelling() -> None:
    for name in ("connected", "terminal_connected", "mt5_connected"):
        assert read_as(WireHealth, {name: True, "status": "error"}).connected is True
        assert read_as(WireHealth, {name: "false"}).connected is False
    assert read_as(WireHealth, {"status": "connected"}).connected is True
    assert read_as(WireHealth, {"status": "Disconnected"}).connected is False
    assert read_as(WireHealth, {"status": "unhealthy"}).connected is False


def test_a_bridge_that_is_well_says_nothing_of_its_terminal() -> None:
    """A ping can answer while the terminal behind it is disconnected."""
    assert read_as(WireHealth, {"status": "ok"}) == WireHealth()
    assert read_as(WireHealth, {}) == WireHealth()


def test_health_tells_the_clock_of_a_simulated_market_and_what_is_offered() -> None:
    told = {"clock": "2025-01-06T10:30:00Z", "speed": 60, "offers": ["idempotency_key"]}
    assert read_as(WireHealth, told | {"trade_allowed": False}) == WireHealth(
        trade_allowed=False, clock=AT, speed=60.0, offers=frozenset({"idempotency_key"})
    )
    assert read_as(WireHealth, {"speed": -1, "offers": "all"}) == WireHealth(speed=0.0)


def test_the_account_is_money_in_decimal() -> None:
    account = read_as(WireAccount, {"success": True, "data": ACCOUNT})
    assert account == WireAccount(
        login=123456,
        server="Broker-Demo",
        name="A. Trader",
        currency="EUR",
        leverage=100,
        balance=Decimal("10000.0"),
        equity=Decimal("9990.5"),
        margin=Decimal("12.34"),
        margin_free=Decimal("9978.16"),
        trade_mode="DEMO",
    )
    assert str(account.equity) == "9990.5"


@pytest.mark.parametrize(
    ("said", "hedging"),
    [
        ({"margin_mode": 2}, True),
        ({"margin_mode": 0}, False),
        ({"margin_mode": 1}, False),
        ({"margin_mode": "2"}, True),
        ({"margin_mode": "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING"}, True),
        ({"margin_mode": "netting"}, False),
        ({"hedging": True, "margin_mode": 0}, True),
        ({"hedging": 0}, False),
        ({}, None),
    ],
)
def test_whether_positions_are_netted_is_read_however_it_is_told(said, hedging) -> None:
    assert read_as(WireAccount, ACCOUNT | said).hedging is hedging


@pytest.mark.parametrize("name", ["equity", "balance", "margin", "margin_free"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", None, "1e30", []])
def test_money_that_is_none_is_no_answer(name, value) -> None:
    """NaN equity: fail closed."""
    with pytest.raises(SourceError, match=f"call: {name}"):
        read_as(WireAccount, ACCOUNT | {name: value})


def test_what_is_asked_about_the_account_alone() -> None:
    assert read(dialect.balance, {"balance": 1}, "call", SERVER) == 1
    assert read(dialect.equity, {"equity": 1}, "call", SERVER) == 1
    assert read(dialect.leverage, {"leverage": 500}, "call", SERVER) == 500
    assert read_as(WireMargin, {"margin": 1, "margin_free": 2, "margin_level": None}) == WireMargin(
        margin=Decimal(1), margin_free=Decimal(2), level=None
    )


def test_a_symbol_tells_what_the_bridge_has_and_no_more() -> None:
    symbol = read_as(WireSymbol, SYMBOL)
    assert (symbol.name, symbol.digits, str(symbol.volume_step)) == ("EURUSDm", 5, "0.01")
    assert (symbol.contract_size, symbol.tick_value, symbol.filling_mode) == (None, None, None)
    assert (symbol.stops_level, symbol.freeze_level, symbol.trade_mode) == (0, 0, 4)
    more = {
        "trade_contract_size": 100000.0,
        "trade_tick_value": 0.0,
        "trade_tick_size": 1e-05,
        "trade_stops_level": "10",
        "trade_freeze_level": 3.0,
        "filling_mode": 3,
    }
    symbol = read_as(WireSymbol, SYMBOL | more)
    assert (symbol.contract_size, symbol.tick_value) == (Decimal(100000), None)
    assert (symbol.tick_size, symbol.filling_mode) == (Decimal("0.00001"), 3)
    assert (symbol.stops_level, symbol.freeze_level) == (10, 3)


@pytest.mark.parametrize(
    "wrong", [{"digits": 99}, {"digits": -1}, {"volume_step": 0}, {"point": "NaN"}, {"name": ""}]
)
def test_a_symbol_that_cannot_be_true_is_no_answer(wrong) -> None:
    with pytest.raises(SourceError, match=r"^call: "):
        read_as(WireSymbol, SYMBOL | wrong)


def test_a_price_came_when_it_says() -> None:
    assert read_as(WireTick, TICK) == WireTick("EURUSDm", AT, Decimal("1.1"), Decimal("1.10008"))


@pytest.mark.parametrize(
    "wrong", [{"bid": 0}, {"ask": 1.09}, {"bid": "NaN"}, {"time": 0}, {"ask": -1}, {"bid": None}]
)
def test_a_price_that_is_none_is_no_answer(wrong) -> None:
    with pytest.raises(SourceError, match=r"^call: "):
        read_as(WireTick, TICK | wrong)


def test_names_keep_their_case() -> None:
    assert dialect.names(["EURUSDm", "EURUSD.r"], "symbols") == ["EURUSDm", "EURUSD.r"]
    for said in (None, {}, ["EURUSD", 5], [""], ["a\n"]):
        with pytest.raises(SourceError, match=r"^symbols: (expected a list of names|'.*' is not)"):
            dialect.names(said, "symbols")


# Bars


def given_bars(said, status=200):
    return bars(status, json.dumps(said).encode(), "bars", SERVER)


def test_bars_come_enveloped_or_bare_and_with_times_of_the_server() -> None:
    for said in ([BAR], {"success": True, "data": [BAR]}):
        [bar] = given_bars(said).bars
        assert (bar.time, bar.open, bar.tick_volume, bar.spread) == (AT, 1.1, 42.0, 8.0)
    [bar] = given_bars([{**BAR, "open": "1.1", "tick_volume": 7.0, "spread": None}]).bars
    assert (bar.open, bar.tick_volume, bar.spread) == (1.1, 7.0, 0.0)
    assert given_bars([]) == WireBars([])


@pytest.mark.parametrize(
    "wrong",
    [
        {"high": 1.0},
        {"low": 1.3},
        {"open": 2.0},
        {"close": 0.5},
        {"low": 0, "open": 0},
        {"low": -1},
        *({name: "NaN"} for name in ("open", "high", "low", "close")),
        {"high": "Infinity"},
        {"high": 1e300},
        {"close": None},
        {"tick_volume": -1},
        {"tick_volume": "NaN"},
        {"spread": -1},
        {"time": None},
        {"time": "soon"},
        {"time": 1736166600000000},
    ],
)
def test_a_bar_that_cannot_be_true_is_left_out_and_counted(wrong) -> None:
    """I21: NaN, infinity, prices that are not positive, high below low.

    Red without the comparisons in `_bar`: the bar with such prices is given. With ``min(open,
    close)`` in them a close of NaN passes, for no comparison with it is true. Red without
    `_untyped`: a null or a text that is no number costs the whole reply.
    """
    good = given_bars([BAR]).bars
    assert given_bars([BAR, BAR | wrong]) == WireBars(good, 1)
    assert given_bars({"success": True, "data": [BAR | wrong, BAR | wrong, BAR]}) == WireBars(
        good, 2
    )
    with pytest.raises(SourceError, match=r"^bars, bar 1: "):
        given_bars([BAR | wrong, BAR | wrong])


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [BAR]])
def test_what_is_no_bar_at_all_is_left_out_too(odd) -> None:
    assert given_bars([BAR, odd]).impossible == 1
    with pytest.raises(SourceError, match=r"^bars, bar 1: "):
        given_bars([odd])


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("enveloped", [True, False])
def test_literal_nan_costs_its_own_bar_only(number, enveloped) -> None:
    """Python's JSON writes NaN where there is none in JSON. Red without `_untyped`."""
    rows = [BAR, BAR | {"open": float(number)}]
    said = {"success": True, "data": rows} if enveloped else rows
    assert given_bars(said) == WireBars(given_bars([BAR]).bars, 1)


@pytest.mark.parametrize(
    "said", [None, {}, "x", {"success": True, "data": None}, [1], {"data": []}]
)
def test_bars_that_are_no_list_are_no_answer(said) -> None:
    with pytest.raises(SourceError, match=r"^bars"):
        given_bars(said)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, {"success": False, "message": "no history"}),
        (200, {"success": False, "message": "no history", "data": []}),
        (404, {"detail": "no history"}),
        (500, [BAR]),
        (500, [BAR, None]),
        (200, {"success": False, "message": "no history", "data": [None]}),
    ],
)
def test_a_refusal_to_give_bars_is_told(status, said) -> None:
    with pytest.raises(RefusalError, match=r"^bars: (no history|HTTP 500)$"):
        given_bars(said, status)


# Positions, orders, deals


def test_a_position_as_listed() -> None:
    [position] = read_all(WirePosition.read, sent([POSITION]), "positions", SERVER)
    assert (position.ticket, position.type, position.volume) == (5001, 0, Decimal("0.1"))
    assert (position.sl, position.tp, position.time) == (Decimal("1.09"), None, AT)
    assert (position.swap, position.commission, position.magic) == (Decimal("-0.5"), 0, 77)
    assert position.tells_stops


def test_stops_that_are_not_listed_are_not_known_to_be_absent() -> None:
    """A position without its mandatory stop is closed: only where the bridge lists stops."""
    silent = {name: value for name, value in POSITION.items() if name not in {"sl", "tp"}}
    position = read_as(WirePosition, silent)
    assert (position.sl, position.tp, position.tells_stops) == (None, None, False)


def test_an_order_as_listed_in_any_spelling() -> None:
    order = read_as(WireOrder, ORDER)
    assert (order.type, order.volume, order.volume_initial) == (2, Decimal("0.2"), Decimal("0.3"))
    assert (order.price_open, order.sl, order.tp) == (Decimal("1.09"), None, Decimal("1.2"))
    assert (order.time_setup, order.position) == (AT, 0)
    brief = {"ticket": 1, "symbol": "X", "type": 7, "volume": 1, "position_id": 9}
    assert read_as(WireOrder, brief).volume == 1
    assert read_as(WireOrder, brief).position == 9
    assert read_as(WireOrder, brief | {"position_id": 0, "position_by_id": 8}).position == 8


def test_a_deal_as_listed() -> None:
    deal = read_as(WireDeal, DEAL)
    assert (deal.ticket, deal.order, deal.position_id) == (4001, 5001, 5001)
    assert (deal.type, deal.entry, deal.reason, deal.is_trade) == (1, 1, 5, True)
    assert (deal.profit, deal.commission, deal.time) == (10, Decimal("-0.35"), AT)
    named = {"type": "DEAL_TYPE_SELL", "entry": "DEAL_ENTRY_OUT", "reason": "DEAL_REASON_TP"}
    assert read_as(WireDeal, DEAL | named) == deal
    assert read_as(WireDeal, DEAL | {"time": None}).time == AT


def test_money_without_a_trade_has_neither_symbol_nor_volume() -> None:
    deposit = read_as(WireDeal, BALANCE)
    assert (deposit.is_trade, deposit.symbol, deposit.volume) == (False, "", 0)
    assert deposit.profit == 10000


@pytest.mark.parametrize(
    ("kind", "funding"),
    [
        (2, True), ("DEAL_TYPE_CREDIT", True), (6, True), (4, False), (5, False),
        ("DEAL_TYPE_COMMISSION_DAILY", False), (12, False), ("DEAL_TYPE_TAX", False), (1, False),
    ],
)  # fmt: skip
def test_money_that_is_put_in_is_told_from_what_the_broker_charges(kind, funding) -> None:
    row = DEAL if kind == 1 else BALANCE | {"type": kind}
    assert read_as(WireDeal, row).is_funding is funding


@pytest.mark.parametrize("name", ["ticket", "type", "profit", "time", "volume", "price", "symbol"])
def test_a_deal_without_what_matters_is_no_answer(name) -> None:
    """I13: the day's loss is a function of the ledger, so no part of it is guessed."""
    without = {key: value for key, value in DEAL.items() if key not in {name, "time_msc"}}
    with pytest.raises(SourceError, match=f"call: {name}"):
        read_as(WireDeal, without)


@pytest.mark.parametrize(
    ("kind", "row", "wrong"),
    [
        (WirePosition, POSITION, {"type": 2}),
        (WirePosition, POSITION, {"volume": 0}),
        (WirePosition, POSITION, {"price_open": 0}),
        (WirePosition, POSITION, {"ticket": 0}),
        (WirePosition, POSITION, {"profit": None}),
        (WirePosition, POSITION, {"sl": -1}),
        (WireOrder, ORDER, {"type": 9}),
        (WireOrder, ORDER, {"volume_current": 0}),
        (WireDeal, DEAL, {"price": 0}),
    ],
)
def test_a_row_that_cannot_be_true_makes_the_list_no_answer(kind, row, wrong) -> None:
    with pytest.raises(SourceError, match=r"^list, row 2: "):
        read_all(kind.read, sent([row, row | wrong]), "list", SERVER)


# Answers to orders


def answered(said, **asked):
    return order_result(sent(said), "call", **asked)


def test_the_answer_to_an_order() -> None:
    assert answered(MARKET_ORDER) == WireResult(10009, 7, 8, Decimal("1.1"), Decimal("0.1"), "x")
    assert answered({"ticket": "7"}) == WireResult(None, 7)
    assert answered({"retcode": 10018, "order": 0, "price": 0.0}) == WireResult(10018)


def test_a_bare_yes_is_the_whole_answer_only_about_a_known_ticket() -> None:
    assert answered(True, ticket=7) == WireResult(10009, 7, comment="the bridge answered true")
    assert answered(True).retcode is None
    assert answered(True).ticket == 0
    assert answered(False, ticket=7).retcode is None


@pytest.mark.parametrize("said", [None, [], 7, "done", 7.5])
def test_what_is_no_answer_to_an_order_is_none(said) -> None:
    with pytest.raises(SourceError, match="call: expected an object"):
        answered(said)


def test_the_ticket_asked_about_is_no_ticket_of_an_execution() -> None:
    """A bridge that repeats the position's ticket beside an error has executed nothing.

    Red without the comparison in `_result`: every refused change of stops is ambiguous.
    """
    assert answered({"retcode": 10016, "ticket": 7}, ticket=7) == WireResult(10016, 0)
    assert answered({"retcode": 10009, "ticket": 7}, ticket=7) == WireResult(10009, 7)
    assert answered({"retcode": 10016, "order": 9}, ticket=7) == WireResult(10016, 9)


def test_a_change_has_no_ticket_of_its_own_and_a_close_has() -> None:
    changed = {"retcode": 10009, "order": 0}
    assert answered(changed, ticket=7, has_ticket=False) == WireResult(10009, 7)
    assert answered({"retcode": 10025}, ticket=7, has_ticket=False) == WireResult(10025, 7)
    assert answered({"retcode": 10018}, ticket=7, has_ticket=False) == WireResult(10018, 0)
    assert answered(changed, ticket=7) == WireResult(10009, 0)


def refusal(said, status):
    with pytest.raises(RefusalError) as refused:
        sent(said, status)
    return refused.value


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (400, {"retcode": 10019, "message": "no money"}, 10019),
        (400, {"success": False, "data": {"retcode": 10019}, "message": "no money"}, 10019),
        (422, {"detail": {"retcode": 10019, "message": "no money"}}, 10019),
        (200, {"success": False, "error_code": "10019", "message": "no money"}, 10019),
        (200, {"success": False, "message": "no money"}, None),
        (200, {"success": False, "error_code": "NO_MONEY", "message": "no money"}, None),
        (400, {"detail": "no money"}, None),
        (409, {"detail": "no money"}, None),
        (429, {"detail": "no money"}, None),
        *((status, {"detail": "no money"}, 10013) for status in (401, 403, 404, 405, 422)),
    ],
)
def test_a_refused_order_is_judged_by_its_code_or_by_who_refused_it(status, said, code) -> None:
    """Without a code it is ambiguous, unless the bridge did not even let it in."""
    result = refused_order(refusal(said, status), "call")
    assert result.retcode == code
    assert result.comment.startswith("no money")


def test_a_refusal_with_a_ticket_keeps_it() -> None:
    result = refused_order(refusal({"retcode": 10019, "order": 7, "detail": "?"}, 400), "call")
    assert (result.retcode, result.ticket) == (10019, 7)


@pytest.mark.parametrize(
    "said",
    [
        {"success": False, "data": {"retcode": 10025, "order": 0, "ticket": 0}},
        {"success": False, "error_code": "10025"},
        {"detail": {"retcode": 10025}},
    ],
)
def test_a_change_that_changes_nothing_is_done_though_it_is_said_as_an_error(said) -> None:
    """A new order or a close that "changes nothing" is not; and other refusals stay what they are.

    Red without it: where a bridge lists no stops, every position loses what protects it.
    """
    status = 200 if "success" in said else 400
    refused = refusal(said, status)
    assert refused_order(refused, "call", ticket=7, has_ticket=False).ticket == 7
    assert refused_order(refused, "call", ticket=7).ticket == 0
    other = refusal({"success": False, "data": {"retcode": 10009}}, 200)
    assert refused_order(other, "call", ticket=7, has_ticket=False).ticket == 0


# What is sent


def test_nulls_are_sent_and_decimals_are_numbers() -> None:
    fields = dialect.new_order(
        "EURUSDm",
        "BUY",
        Decimal("0.10"),
        price=None,
        stop_loss=Decimal("1.09000"),
        take_profit=None,
        comment='ABC "x"',
        magic=2**53,
    )
    assert encoded(fields) == (
        b'{"symbol":"EURUSDm","volume":0.10,"order_type":"BUY","price":null,"sl":1.09000,'
        b'"tp":null,"comment":"ABC \\"x\\"","magic":9007199254740992}'
    )
    assert encoded(dialect.stops(None, Decimal(0))) == b'{"stop_loss":null,"take_profit":0}'
    assert encoded(dialect.closing_all(None)) == b'{"symbol":null}'


def test_no_number_is_sent_that_json_does_not_carry() -> None:
    """I21: NaN and infinity stop here; I7: magic numbers stay what they are."""
    for value in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(ValueError, match="is not finite"):
            encoded(dialect.closing(Decimal(value)))
    with pytest.raises(ValueError, match=r"beyond 2\^53"):
        dialect.new_order(
            *("X", "BUY", Decimal(1)),
            price=None,
            stop_loss=None,
            take_profit=None,
            comment="",
            magic=2**53 + 1,
        )


def test_times_are_asked_for_with_their_offset() -> None:
    m5 = Timeframe("M5")
    assert dialect.bar_range(m5, 3, None, None) == {"timeframe": "M5", "num_bars": "3"}
    assert dialect.bar_range(m5, None, AT, None) == {
        "timeframe": "M5",
        "start": "2025-01-06T10:30:00+00:00",
    }
