"""Times at which nothing is opened: around news, on holidays, before the market's close."""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from app.domain.broker_time import ServerTime
from app.domain.market import SymbolRules
from app.domain.orders import BlockReason, Refusal

EVERYTHING = ""
"""The instrument of a row that concerns every symbol."""

_DAY = timedelta(days=1)


class News(msgspec.Struct, frozen=True):
    """A release that moves `instrument`: a currency (``USD``), a symbol, or everything."""

    time: datetime
    instrument: str
    description: str


class Holiday(msgspec.Struct, frozen=True):
    """A day of the broker's calendar without trading, or with an early close at `closes` (UTC)."""

    day: date
    closes: datetime | None
    instrument: str
    description: str


class Close(msgspec.Struct, frozen=True):
    """A close of the market, and why nothing is opened before it."""

    at: datetime
    refusal: Refusal


def concerns(instrument: str, rules: SymbolRules) -> bool:
    """Say whether `instrument` means this symbol.

    It does when it is the symbol itself, with or without the broker's suffix, or one of its two
    currencies; letter case does not count.
    """
    named = instrument.upper()
    pair = rules.base_currency + rules.profit_currency
    return named in {
        EVERYTHING,
        rules.symbol.upper(),
        pair,
        rules.base_currency,
        rules.profit_currency,
    }


class Restrictions(msgspec.Struct, frozen=True):
    """All restrictions of a run.

    `news` is ordered by time and blocks `news_margin` before and after each. A holiday without a
    close blocks the broker's whole day. A close, `close_time` every day (broker's time unless it
    carries an offset) or a holiday's own, blocks `close_margin` before it, both ends included;
    `flatten` (ACCOUNT_TYPE=daily) also closes what is open when that begins.
    """

    news: tuple[News, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    news_margin: timedelta = timedelta(minutes=5)
    close_margin: timedelta = timedelta(minutes=15)
    close_time: time | None = None
    flatten: bool = False

    def refuse(self, rules: SymbolRules, at: datetime, server_time: ServerTime) -> Refusal | None:
        """Return why no entry in the symbol is allowed at `at`; ``None`` when it is."""
        return self._news(rules, at) or self._closed(rules, at, server_time)

    def next_flatten(
        self, rules: SymbolRules, after: datetime, server_time: ServerTime
    ) -> datetime | None:
        """Return when, after `after`, positions in the symbol are to be closed for the night."""
        if not self.flatten:
            return None
        begun_by = after + self.close_margin
        close = self._next_close(rules, begun_by + timedelta.resolution, server_time)
        return None if close is None else close.at - self.close_margin

    def _news(self, rules: SymbolRules, at: datetime) -> Refusal | None:
        first = bisect_left(self.news, at - self.news_margin, key=lambda news: news.time)
        for news in self.news[first:]:
            if news.time > at + self.news_margin:
                return None
            if concerns(news.instrument, rules):
                return Refusal(
                    BlockReason.NEWS, f"{news.description or 'news'} at {news.time:%Y-%m-%d %H:%M}Z"
                )
        return None

    def _closed(self, rules: SymbolRules, at: datetime, server_time: ServerTime) -> Refusal | None:
        if not self.holidays and self.close_time is None:
            return None
        today = server_time.day(at)
        for holiday in self.holidays:
            if (
                holiday.closes is None
                and holiday.day == today
                and concerns(holiday.instrument, rules)
            ):
                return Refusal(BlockReason.HOLIDAY, f"{holiday.description or 'holiday'} {today}")
        close = self._next_close(rules, at, server_time)
        return close.refusal if close is not None and close.at - self.close_margin <= at else None

    def _next_close(
        self, rules: SymbolRules, at: datetime, server_time: ServerTime
    ) -> Close | None:
        """Return the first close of the market at `at` or later."""
        closes = [
            Close(
                holiday.closes,
                Refusal(
                    BlockReason.HOLIDAY,
                    f"{holiday.description or 'holiday'}: early close {holiday.closes:%H:%M}Z",
                ),
            )
            for holiday in self.holidays
            if holiday.closes is not None
            and holiday.closes >= at
            and concerns(holiday.instrument, rules)
        ]
        if self.close_time is not None:
            refusal = Refusal(
                BlockReason.MARKET_CLOSING, f"the market closes at {self.close_time.isoformat()}"
            )
            closes.append(Close(_next_daily(self.close_time, at, server_time), refusal))
        return min(closes, key=lambda close: close.at, default=None)


def _next_daily(closes: time, at: datetime, server_time: ServerTime) -> datetime:
    """Return when the clock that `closes` is read on shows it next, at `at` or later."""
    if closes.tzinfo is None:
        today = datetime.combine(server_time.day(at), closes)
        close = server_time.to_utc(today)
        return close if close >= at else server_time.to_utc(today + _DAY)
    close = datetime.combine(at.astimezone(closes.tzinfo).date(), closes).astimezone(UTC)
    return close if close >= at else close + _DAY
