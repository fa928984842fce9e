"""What is wrong with an indicator that was asked for."""

from app.domain.errors import ConfigurationError


class IndicatorError(ConfigurationError):
    """An indicator cannot be had as asked; `loc` is the path of the fault in the file."""

    def __init__(self, message: str, loc: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.loc = loc
