"""The journal beside the broker's ledger: ``python -m app.main_ledger``.

Prints every order as the journal and as the account behind the bridge know it, and the difference.
0 no difference · 64 usage · 69 bridge unavailable · 70 a difference · 74 journal · 78 settings ·
130 interrupted.
"""

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app import journal_tools, settings
from app.command_line import exit_code, new_command_line
from app.domain.errors import SourceError, UnavailableError, UsageError
from app.journal_tools import Ledger
from app.link import Link
from app.settings import Settings

DIFFERENT = 70


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def ledger(
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        since: Annotated[
            str | None,
            typer.Option(help="Compare from this time on (ISO, UTC unless it says otherwise)."),
        ] = None,
    ) -> None:
        """Print the journal's and the broker's side of every order, and the difference."""
        compared = _compared(settings.load(config).settings, _time(since))
        if as_json:
            print(msgspec.json.encode(compared).decode())
        else:
            print("\n".join(journal_tools.say_ledger(compared)))
        if compared.comparison.differences:
            raise typer.Exit(DIFFERENT)

    return exit_code(app, arguments)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text}: expected a time such as 2025-01-06T10:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _compared(loaded: Settings, since: datetime | None) -> Ledger:
    with ExitStack() as opened:
        link = Link(loaded, opened)
        link.measure()
        try:
            return journal_tools.compare_ledgers(loaded, link.live(), since, link.clock.now())
        except SourceError as error:
            raise UnavailableError(f"the bridge does not answer: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
