"""What a trade server answers: MetaTrader 5's return codes, as far as this one gives them.

https://www.mql5.com/en/docs/constants/errorswarnings/enum_trade_return_codes
"""

from enum import IntEnum


class Retcode(IntEnum):
    """A return code by MetaTrader's name for it."""

    REQUOTE = 10004
    PLACED = 10008
    DONE = 10009
    DONE_PARTIAL = 10010
    INVALID = 10013
    INVALID_VOLUME = 10014
    INVALID_PRICE = 10015
    INVALID_STOPS = 10016
    TRADE_DISABLED = 10017
    MARKET_CLOSED = 10018
    NO_MONEY = 10019
    PRICE_OFF = 10021
    NO_CHANGES = 10025
    SERVER_DISABLES_AUTOTRADING = 10026
    CLIENT_DISABLES_AUTOTRADING = 10027
    FROZEN = 10029
    NO_CONNECTION = 10031
    LIMIT_ORDERS = 10033
    POSITION_CLOSED = 10036
    INVALID_CLOSE_VOLUME = 10038
    CLOSE_ORDER_EXISTS = 10039


SUCCESSES = frozenset({Retcode.PLACED, Retcode.DONE, Retcode.DONE_PARTIAL})

_TEXTS = {
    Retcode.REQUOTE: "Requote",
    Retcode.PLACED: "Order placed",
    Retcode.DONE: "Request completed",
    Retcode.DONE_PARTIAL: "Only part of the request was completed",
    Retcode.INVALID: "Invalid request",
    Retcode.INVALID_VOLUME: "Invalid volume in the request",
    Retcode.INVALID_PRICE: "Invalid price in the request",
    Retcode.INVALID_STOPS: "Invalid stops in the request",
    Retcode.TRADE_DISABLED: "Trade is disabled",
    Retcode.MARKET_CLOSED: "Market is closed",
    Retcode.NO_MONEY: "There is not enough money to complete the request",
    Retcode.PRICE_OFF: "There are no quotes to process the request",
    Retcode.NO_CHANGES: "No changes in request",
    Retcode.SERVER_DISABLES_AUTOTRADING: "Autotrading disabled by server",
    Retcode.CLIENT_DISABLES_AUTOTRADING: "Autotrading disabled by client terminal",
    Retcode.FROZEN: "Order or position frozen",
    Retcode.NO_CONNECTION: "No connection with the trade server",
    Retcode.LIMIT_ORDERS: "The number of pending orders has reached the limit",
    Retcode.POSITION_CLOSED: "Position with the specified identifier has already been closed",
    Retcode.INVALID_CLOSE_VOLUME: "A close volume exceeds the current position volume",
    Retcode.CLOSE_ORDER_EXISTS: "A close order already exists for the specified position",
}


def text_of(code: int) -> str:
    """Return MetaTrader's words for `code`, or its number where it is not known here."""
    known = {int(retcode): text for retcode, text in _TEXTS.items()}
    return known.get(code, f"Return code {code}")
