"""Checks of what is configured: settings, strategies, calendars, or the market played instead."""

from collections.abc import Iterator

from app.doctor.facts import Facts
from app.doctor.findings import Finding, ok, warning
from app.feed import open_market
from app.setting_values import Mode
from app.settings import DEFAULT_FILE
from app.strategies.evaluate import Strategy


def configuration(facts: Facts) -> Iterator[Finding]:
    """See that every layer of the settings can be read, and what in it is doubtful."""
    loaded = facts.loaded
    mode, where = facts.settings.trading.mode, loaded.file or f"no {DEFAULT_FILE}, defaults"
    yield ok(f"{where}; mode {mode}, {', '.join(facts.settings.symbols)}")
    for doubt in loaded.warnings:
        yield warning(doubt, "correct the name, or take the line out")
    if mode is not Mode.MONITOR and not facts.settings.services.trade_execution.enabled:
        yield warning(
            "services.trade_execution is disabled: signals only, no order is sent",
            "set services.trade_execution.enabled to true",
        )


def strategies(facts: Facts) -> Iterator[Finding]:
    """See that indicators and strategies can be read and fit together."""
    for symbol, loaded in facts.strategies.items():
        if not loaded:
            yield warning(
                f"none is enabled for {symbol}",
                f"set activation.enabled: true in a file of "
                f"{facts.settings.trading.conf_folder / 'strategies' / symbol.lower()}",
            )
        for strategy in loaded:
            yield ok(f"{symbol} {_needs(strategy)}")
            for doubt in strategy.warnings:
                yield warning(doubt, "write what is meant in the file, or leave it as it is read")


def _needs(strategy: Strategy) -> str:
    rules = strategy.rules
    names = ", ".join(timeframe.title_name for timeframe in rules.timeframes)
    rows = max(strategy.rows_needed.values(), default=1)
    return f"{rules.name}: decides on {rules.trigger.title_name}, reads {rows} rows of {names}"


def restrictions(facts: Facts) -> Iterator[Finding]:
    """See that the calendars of news and holidays can be read."""
    known = facts.entry_rules.restrictions
    yield ok(f"{len(known.news)} news and {len(known.holidays)} holidays in the calendars")


def market(facts: Facts) -> Iterator[Finding]:
    """See that the market that is played can be opened."""
    opened = open_market(facts.settings, facts.indicators, facts.server_time)
    opened.source.close()
    yield ok("; ".join(opened.notes))
    for doubt in opened.warnings:
        yield warning(doubt, "look at the file, or leave it as it is read")
