"""How the small commands end: exit codes, and one line for the operator instead of a traceback."""

import sys
from collections.abc import Iterable

import typer

from app import interruption
from app.domain.errors import OperatorError

_USAGE_EXIT_CODE = 64
_TYPER_USAGE_ERROR = 2


def new_command_line() -> typer.Typer:
    """Return an empty command line, plain in its output."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def warn(warnings: Iterable[str]) -> None:
    """Tell the operator what may be wrong, a line each, on standard error."""
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")


def exit_code(app: typer.Typer, arguments: list[str] | None) -> int:
    """Run the command line (that of the process by default) and return its exit code."""
    try:
        app(arguments)
    except KeyboardInterrupt:
        code = interruption.EXIT_CODE
    except SystemExit as ended:
        code = int(ended.code or 0)
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    else:
        return 0
    if code == interruption.EXIT_CODE:  # Typer catches Ctrl+C and ends with it
        sys.stderr.write(interruption.LINE)
    return _USAGE_EXIT_CODE if code == _TYPER_USAGE_ERROR else code
