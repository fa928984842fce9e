"""TA-Lib's streams, opened by themselves once enough values were seen."""

from array import array
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np
import talib

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Handle(Protocol[T_co]):
    """An open TA-Lib stream: takes one value of each input, gives the newest result."""

    @property
    def value(self) -> T_co:
        """The result of the last value taken."""
        ...

    @property
    def update(self) -> Callable[..., T_co]:
        """Take one value of each input."""
        ...


class Stream(Generic[T]):
    """One TA-Lib function fed value by value; ``None`` until its look-back is filled.

    A result equals the last of TA-Lib's batch function over all values taken, bit for bit.
    """

    __slots__ = ("_history", "_open", "_parameters", "update")

    update: Callable[..., T | None]
    """Take one value of each input. It becomes the handle's own method once that is open, so a
    candle pays for one attribute and one call into C."""

    def __init__(self, handle: Callable[..., Handle[T]], *parameters: float) -> None:
        self._open = handle
        self._parameters = parameters
        self.restart()

    def restart(self) -> None:
        """Forget everything: the next value is the first."""
        self._history: tuple[array[float], ...] = ()
        self.update = self._gather

    def _gather(self, *values: float) -> T | None:
        self._keep(values)
        try:
            handle = self._open(*map(np.frombuffer, self._history), *self._parameters)
        except talib.InsufficientHistory:  # type: ignore[attr-defined]  # missing in its stubs
            return None
        self._history = ()
        self.update = handle.update
        return handle.value

    def _keep(self, values: tuple[float, ...]) -> None:
        self._history = self._history or tuple(array("d") for _ in values)
        for column, value in zip(self._history, values, strict=True):
            column.append(value)


class MovementStream(Stream[float]):
    """A stream of one line that is ``None`` until the line has moved: a ratio of its changes.

    TA-Lib says 0 there, which is 0 / 0.
    """

    __slots__ = ("_moved",)

    def restart(self) -> None:
        """Forget everything: the next value is the first."""
        super().restart()
        self._moved = False

    def _gather(self, *values: float) -> float | None:
        history = self._history
        self._moved = self._moved or (bool(history) and values[0] != history[0][-1])
        if self._moved:
            return super()._gather(*values)
        self._keep(values)
        return None
