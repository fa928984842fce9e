"""Checks of what the daemon keeps: its lock, journal, log, disk and switch, and who else trades."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from app.adapters.journal.database import locate
from app.adapters.journal.lock import holder_of
from app.adapters.mt5.dialect import WireOrder
from app.adapters.switch_file import read_switch
from app.doctor.facts import Facts
from app.doctor.findings import Finding, fails, ok, warning
from app.domain.errors import AccountHeldError, GaveUpError, JournalError, PermissionDeniedError
from app.risk.ids import client_id_in

_MEGABYTE = 1_000_000
LEAST_FREE, ENOUGH_FREE = 50 * _MEGABYTE, 1000 * _MEGABYTE
"""Bytes: below the first the journal is about to stop, below the second it soon may."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_LIFTED = "docs/OPERATIONS.md says what it means; python -m app.main_switch ENABLE lifts it"


def folders(facts: Facts) -> Iterator[Finding]:
    """See that the daemon may write where its journal and locks are."""
    options = facts.settings.journal
    located = locate(options.address)
    wanted = {options.folder, options.locks}
    if located.drivername == "sqlite" and located.database:
        wanted |= {Path(located.database), Path(located.database).parent}
    found = {it for path in wanted if (it := _hindrance(path)) is not None}
    yield from sorted(found, key=lambda finding: finding.says)
    if not found:
        yield ok(f"{options.folder} can be written")


def log_file(facts: Facts) -> Iterator[Finding]:
    """See that the daemon may write its log file."""
    file = facts.settings.logging.log_file
    hindrance = _hindrance(file)
    if _existing(file) == file.absolute() and file.is_dir():
        yield fails(f"{file} is a folder", "name a file in LOGGING_LOG_FILE")
    elif hindrance is not None:
        yield fails(hindrance.says, hindrance.fix)
    else:
        yield ok(f"{file} can be written")


def _hindrance(path: Path) -> Finding | None:
    """Return what keeps the daemon from writing a file or making it, or its folder."""
    place = _existing(path)
    if place != path.absolute() and not place.is_dir():
        return fails(f"{place} is no folder", "move it away, or name another", JournalError)
    needed = os.R_OK | os.W_OK | (os.X_OK if place.is_dir() else 0)
    if os.access(place, needed):
        return None
    return fails(
        f"no permission to write {place}",
        f"let the user that runs the daemon read and write {place}",
        PermissionDeniedError,
    )


def _existing(path: Path) -> Path:
    """Return the path, or the nearest place above it that there is."""
    whole = path.absolute()
    # What stands in a folder we may not look into cannot be seen, and the folder is what matters.
    return next(it for it in (whole, *whole.parents) if os.access(it, os.F_OK))


def disk(facts: Facts) -> Iterator[Finding]:
    """See that there is room for the journal and the log."""
    options = facts.settings.logging
    log = options.file_max_bytes * (1 + options.file_backups) if options.file_output else 0
    for place, needed in _disks(
        (facts.settings.journal.folder, ENOUGH_FREE), (options.log_file.parent, log)
    ):
        yield room(place, shutil.disk_usage(place).free, needed)


def _disks(*wanted: tuple[Path, int]) -> Iterator[tuple[Path, int]]:
    """Return a folder of each disk, and the bytes that are wanted there."""
    needed: dict[int, tuple[Path, int]] = {}
    for folder, count in wanted:
        place = _existing(folder)
        known = needed.get(place.stat().st_dev, (place, 0))
        needed[place.stat().st_dev] = known[0], known[1] + count
    return (each for each in needed.values() if each[1])


def room(place: Path, free: int, needed: int) -> Finding:
    """Judge the bytes that are free on the disk of a folder."""
    left = f"{free / _MEGABYTE:,.0f} MB are free on the disk of {place}"
    if free < LEAST_FREE:
        return fails(left, "free disk space", JournalError)
    if free < needed:
        return warning(f"{left}, {needed / _MEGABYTE:,.0f} MB are wanted", "free disk space")
    return ok(left)


def lock(facts: Facts) -> Iterator[Finding]:
    """See that no other daemon trades the account."""
    options = facts.settings.journal
    holder = holder_of(facts.owner, options.address, options.locks)
    if holder is None:
        yield ok(f"nobody trades {facts.owner}")
    else:
        yield fails(
            f"account {facts.owner} is held by {holder}", "stop that daemon first", AccountHeldError
        )


def journal(facts: Facts) -> Iterator[Finding]:
    """See that the journal can be read, and what in it keeps entries back."""
    reader = facts.journal
    if reader is None:
        yield ok("there is none yet; the daemon makes it")
        return
    records = reader.records(facts.owner, _BEGINNING)
    doubtful = sum(record.state.doubtful for record in records)
    yield ok(f"{reader.name}, {len(records)} orders of {facts.owner}")
    if doubtful:
        yield warning(
            f"what became of {doubtful} of them is not known",
            "look at the account; the daemon finds them when it starts, and opens nothing before",
        )
    for block in reader.blocks(facts.owner, facts.now):
        of = f" of {block.strategy}" if block.strategy else ""
        until = f" until {block.until:%Y-%m-%d %H:%M} UTC" if block.until else ""
        yield warning(f"entries{of} are blocked{until}, {block.reason}: {block.detail}", _LIFTED)


def kill_switch(facts: Facts) -> Iterator[Finding]:
    """See that the operator's switch allows entries."""
    file = facts.settings.risk.switch_file
    switch = read_switch(file)
    if switch is None or switch.enabled:
        yield ok("entries are allowed")
    else:
        why = f" ({switch.reason})" if switch.reason else ""
        yield warning(
            f"{file} has disabled entries since {switch.at:%Y-%m-%d %H:%M} UTC{why}",
            "python -m app.main_switch ENABLE",
        )


def strangers(facts: Facts) -> Iterator[Finding]:
    """See that nothing on the account carries our numbers and is not in the journal."""
    ours = {one.rules.magic: one.rules.name for each in facts.strategies.values() for one in each}
    records = facts.journal.records(facts.owner, _BEGINNING) if facts.journal else ()
    known = {record.ticket for record in records} | {it.intent.client_id for it in records}
    others = 0
    for held in facts.open:
        if known & {held.ticket, client_id_in(held.comment)}:
            continue
        if held.magic not in ours:
            others += 1
            continue
        kind = "order" if isinstance(held, WireOrder) else "position"
        yield fails(
            f"{kind} {held.ticket} in {held.symbol} carries the magic of {ours[held.magic]} and "
            "the journal does not know it: entries will be blocked",
            "use the journal that belongs to the account, or close it by hand",
            GaveUpError,
        )
    yield ok(
        f"{len(facts.open)} positions and orders, {others} of others, left alone but counted in "
        "risk.max_positions"
    )
