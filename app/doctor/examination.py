"""The page of checks, in the order of the daemon's start; gone through, and put into words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from app.doctor.account import account, autotrading, filling, limits, netting, tradable
from app.doctor.bridge import bridge, history, prices, server_clock, symbols, terminal
from app.doctor.configuration import configuration, market, restrictions, strategies
from app.doctor.facts import Facts, UnknownError
from app.doctor.findings import Finding, Status, failure, not_checked
from app.doctor.records import disk, folders, journal, kill_switch, lock, log_file, strangers
from app.doctor.sizes import sizes
from app.domain.errors import OperatorError, SourceError, printable
from app.setting_values import Mode
from app.settings import Settings

Check: TypeAlias = Callable[[Facts], Iterator[Finding]]

ON_RECORDED_MARKETS: tuple[Check, ...] = (strategies, restrictions, market)
ON_THE_BRIDGE: tuple[Check, ...] = (
    *(bridge, terminal, symbols, server_clock),
    *(strategies, restrictions),
    *(folders, lock, journal),
    *(prices, history, kill_switch, disk),
)
LIVE: tuple[Check, ...] = (
    *(bridge, terminal, symbols, server_clock),
    *(strategies, restrictions),
    *(account, folders, lock, journal),
    *(autotrading, tradable, filling, netting),
    *(prices, history, limits, sizes),
    *(strangers, kill_switch, disk),
)


class Checked(msgspec.Struct, frozen=True):
    """A finding under the name of its check."""

    name: str
    status: Status
    says: str
    fix: str


class Report(msgspec.Struct, frozen=True):
    """What the examination found; `exit_code` is that of the first failure."""

    ready: bool
    exit_code: int
    checks: tuple[Checked, ...]


def examine(config: Path | None) -> tuple[Report, str]:
    """Check the set-up that `config` and the environment describe; return it and the verdict."""
    with Facts(config) as facts:
        found = list(_gone_through((configuration,), facts))
        if not any(finding.exit_code for _, finding in found):
            found += _gone_through(_page(facts.settings), facts)
        codes = [finding.exit_code for _, finding in found if finding.exit_code]
        checks = tuple(
            Checked(name, it.status, printable(it.says), printable(it.fix)) for name, it in found
        )
        report = Report(not codes, codes[0] if codes else 0, checks)
        return report, _problems(len(codes)) if codes else f"ready to {_purpose(facts)}"


def lines(report: Report) -> Iterator[str]:
    """Put a report into words, a line a finding."""
    for it in report.checks:
        fix = f". Fix: {it.fix}" if it.fix else ""
        yield f"{it.status:<11} {it.name}: {it.says}{fix}"


def _page(settings: Settings) -> tuple[Check, ...]:
    """Return the checks that concern what is configured."""
    logging = (log_file,) if settings.logging.file_output else ()
    if not settings.uses_bridge:
        return (*logging, *ON_RECORDED_MARKETS)
    return (*logging, *(LIVE if settings.trading.mode is Mode.LIVE else ON_THE_BRIDGE))


def _gone_through(page: tuple[Check, ...], facts: Facts) -> Iterator[tuple[str, Finding]]:
    for check in page:
        name = check.__name__.replace("_", " ")
        try:
            for finding in check(facts):
                yield name, finding
        except UnknownError as missing:
            yield name, not_checked(str(missing))
        except (OperatorError, SourceError) as error:
            yield name, failure(error)


def _problems(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"


def _purpose(facts: Facts) -> str:
    settings = facts.settings
    if settings.trading.mode is Mode.LIVE:
        return f"trade live on account {facts.account.login} ({facts.account.server})"
    what = "watch" if settings.trading.mode is Mode.MONITOR else "trade on paper"
    where = " on the market of the bridge" if settings.uses_bridge else ", without a bridge"
    return f"{what}{where}"
