"""A MetaTrader 5 bridge with a simulated terminal: ``python -m app.bridge``.

0 clean · 64 usage · 69 the address is taken · 78 configuration · 130 interrupted before it served.
"""

import sys

from app.bridge.command import command_line
from app.domain.errors import OperatorError, UsageError

TYPER_USAGE_ERROR = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        command_line(arguments)
    except SystemExit as ended:
        return UsageError.exit_code if ended.code == TYPER_USAGE_ERROR else int(ended.code or 0)
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
