"""Times at which nothing is opened: around news, on holidays, before the market's close."""

from bisect import bisect_left
from datetime import date, datetime, time, timedelta

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


class Window(msgspec.Struct, frozen=True):
    """The time around one close of the market, half-open, in which nothing is opened."""

    start: datetime
    end: datetime
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

    `news` is ordered by time and blocks `news_margin` before and after each. A close, `close_time`
    every day (broker's time unless it carries an offset) or a holiday's own, blocks from
    `close_margin` before it until midnight of its clock. `flatten` (ACCOUNT_TYPE=daily) also closes
    what is open when that window begins.
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
        starts = (
            window.start
            for n in range(3)
            for window in self._windows(rules, after + n * _DAY, server_time)
        )
        return min((start for start in starts if start > after), default=None)

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
        for window in self._windows(rules, at, server_time):
            if window.start <= at < window.end:
                return window.refusal
        return None

    def _windows(self, rules: SymbolRules, at: datetime, server_time: ServerTime) -> list[Window]:
        """Return the windows of the closes on the day of `at`."""
        today = server_time.day(at)
        windows = [
            Window(
                holiday.closes - self.close_margin,
                server_time.next_day_start(at),
                Refusal(
                    BlockReason.HOLIDAY,
                    f"{holiday.description or 'holiday'}: early close {holiday.closes:%H:%M}Z",
                ),
            )
            for holiday in self.holidays
            if holiday.closes is not None
            and holiday.day == today
            and concerns(holiday.instrument, rules)
        ]
        if self.close_time is not None:
            windows.append(self._daily_window(self.close_time, at, server_time))
        return windows

    def _daily_window(self, closes: time, at: datetime, server_time: ServerTime) -> Window:
        if closes.tzinfo is None:
            close = server_time.to_utc(datetime.combine(server_time.day(at), closes))
            midnight = server_time.next_day_start(close)
        else:
            close = datetime.combine(at.astimezone(closes.tzinfo).date(), closes)
            midnight = datetime.combine(close.date(), time(tzinfo=closes.tzinfo)) + _DAY
        return Window(
            close - self.close_margin,
            midnight,
            Refusal(BlockReason.MARKET_CLOSING, f"the market closes at {closes.isoformat()}"),
        )


UNRESTRICTED = Restrictions()
