"""Where a search learns and where it is judged: in-sample pieces, and the one after each."""

from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.errors import ConfigurationError

_MINUTE = timedelta(minutes=1)
_SHORTEST = timedelta(hours=1)


class Piece(NamedTuple):
    """A span of the market's time, aware UTC: candles that close after `began`, up to `until`."""

    began: datetime
    until: datetime

    @property
    def days(self) -> float:
        """How long it is, in days."""
        return (self.until - self.began) / timedelta(days=1)


class Window(NamedTuple):
    """What parameters are chosen on, and what shows whether they hold; `number` begins at 1."""

    number: int
    in_sample: Piece
    out_of_sample: Piece


def windows(span: Piece, splits: int, share: float) -> tuple[Window, ...]:
    """Divide `span` into `splits` windows of one length, `share` of each out of sample.

    The out-of-sample pieces follow one another to the end of the span, so that together they are
    one run; of one window they are the last `share` of the span. Cuts are at whole minutes.

    Raises:
        ConfigurationError: a piece would be shorter than an hour.

    """
    judged = (span.until - span.began) / ((1 - share) / share + splits)
    learned = judged * (1 - share) / share
    if min(judged, learned) < _SHORTEST:
        raise ConfigurationError(
            f"{span.days:.1f} days are too few for {splits} windows with {100 * share:g} % out of "
            "sample: a piece would be shorter than an hour"
        )
    found = []
    for number in range(splits):
        until = span.until - judged * (splits - number - 1)
        cut = _whole(until - judged)
        began = span.began if number == 0 else _whole(cut - learned)
        last = span.until if number == splits - 1 else _whole(until)
        found.append(Window(number + 1, Piece(began, cut), Piece(cut, last)))
    return tuple(found)


def _whole(time: datetime) -> datetime:
    return time - (time - datetime.min.replace(tzinfo=time.tzinfo)) % _MINUTE
