"""A strategy's schedule, in the broker's day: whether it is open, and when its session ends."""

from datetime import datetime, time, timedelta

from app.domain.broker_time import ServerTime
from app.domain.rules import Schedule

_DAY = timedelta(days=1)
_WEEK_AHEAD = 8
"""A weekly schedule that ends at all ends within this many days."""


def is_open(schedule: Schedule | None, wall: datetime) -> bool:
    """Say whether entries are allowed at `wall`, the broker's local time.

    Hours that run past midnight belong to the day they start on.
    """
    if schedule is None:
        return True
    today, moment = wall.weekday(), wall.time()
    if not schedule.hours:
        return _on(schedule, today)
    return any(
        _on(schedule, today) and start <= moment < end
        if start < end
        else (_on(schedule, today) and moment >= start)
        or (_on(schedule, (today - 1) % 7) and moment < end)
        for start, end in schedule.hours
    )


def _on(schedule: Schedule, weekday: int) -> bool:
    return not schedule.days or weekday in schedule.days


def next_end(schedule: Schedule, server_time: ServerTime, after: datetime) -> datetime | None:
    """Return when the schedule closes next after `after` (UTC); ``None``: never."""
    today = datetime.combine(server_time.day(after), time())
    ends = (
        midnight + timedelta(hours=end.hour, minutes=end.minute, seconds=end.second)
        for midnight in (today + n * _DAY for n in range(_WEEK_AHEAD + 1))
        for end in {end for _, end in schedule.hours} or {time()}
    )
    just_before = timedelta(seconds=1)
    for wall in sorted(ends):
        if is_open(schedule, wall - just_before) and not is_open(schedule, wall):
            end = server_time.to_utc(wall)
            if end > after:
                return end
    return None
