"""The doctor: ``python -m app.main_doctor``.

Checks, before money is at stake, everything between the configuration and the broker that commonly
breaks, and says what mends it. It only looks: nothing is ordered, written or made.
0 ready · else the code the daemon would end with for the first failure: 69 bridge or terminal ·
70 a stranger under our numbers · 74 journal or disk · 75 another daemon holds the account ·
77 permission · 78 configuration. 64 usage · 130 interrupted.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.command_line import exit_code, new_command_line
from app.doctor.examination import examine, lines


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def doctor(
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Check everything that commonly breaks before money is at stake, and say the fix."""
        logging.getLogger().addHandler(logging.NullHandler())
        report, verdict = examine(config)
        if as_json:
            typer.echo(msgspec.json.encode(report).decode())
        else:
            for line in (*lines(report), verdict):
                typer.echo(line)
        raise typer.Exit(report.exit_code)

    return exit_code(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
