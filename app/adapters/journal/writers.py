"""Who writes for an account: the newest one, and whoever came before notices at its next commit.

This is what stops a daemon that slept through another's start (I17): its lock may be gone, but
nothing it admits is committed any more, so nothing is sent.
"""

from sqlalchemy import Connection

from app.adapters.journal.lock import this_process
from app.adapters.journal.statements import FIRST_WRITER, NEW_WRITER, WRITER
from app.domain.errors import AccountHeldError


def take_over(connection: Connection, account: str) -> int:
    """Become the account's writer; return the epoch that says so."""
    here = this_process()
    last = connection.execute(WRITER, {"of_account": account}).one_or_none()
    if last is None:
        first = {"account": account, "epoch": 1, "holder": here.name, "at": here.since}
        connection.execute(FIRST_WRITER, first)
        return 1
    epoch: int = last.epoch + 1
    new = {"new_epoch": epoch, "new_holder": here.name, "new_at": here.since}
    connection.execute(NEW_WRITER, {"of_account": account, **new})
    return epoch


def check(connection: Connection, account: str, epoch: int) -> None:
    """Hold the account's row until the commit; AccountHeldError when another writer has come."""
    now = connection.execute(WRITER, {"of_account": account}).one_or_none()
    if now is None or now.epoch != epoch:
        other = f"{now.holder} at {now.at:%Y-%m-%d %H:%M:%S} UTC" if now else "an unknown program"
        raise AccountHeldError(
            f"account {account} was taken over by {other}: this daemon sends nothing any more"
        )
