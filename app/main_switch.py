"""The kill switch: ``python -m app.main_switch ENABLE|DISABLE|QUERY``.

DISABLE stops entries, of every account that trades by this configuration, and leaves stops, targets
and exits working; ENABLE allows them again and lifts every block; QUERY shows how things stand.
0 done · 64 usage · 74 file or journal cannot be used · 77 permission · 78 configuration ·
130 interrupted.
"""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app import journal_tools, settings
from app.command_line import exit_code, new_command_line
from app.ports import Switch


class Word(StrEnum):
    """What to do with the switch."""

    ENABLE = "ENABLE"
    DISABLE = "DISABLE"
    QUERY = "QUERY"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def switch(
        word: Annotated[Word, typer.Argument(case_sensitive=False)],
        reason: Annotated[str, typer.Option(help="Why; shown wherever the block is.")] = "",
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
    ) -> None:
        """Stop entries, allow them again, or show the switch and what blocks entries."""
        loaded, now = settings.load(config).settings, datetime.now(UTC)
        if word is Word.QUERY:
            for line in journal_tools.say_switch(loaded, now):
                print(line)
        else:
            wanted = Switch(word is Word.ENABLE, now, reason)
            print(journal_tools.set_switch(loaded, wanted))
            if not loaded.journal.locks.is_dir():
                print(f"warning: {journal_tools.nobody_here(loaded)}", file=sys.stderr)

    return exit_code(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
