"""Where trials are run: the backtest, with other values in the strategy's document."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from app import assembly, strict_yaml
from app.adapters.strategy_files import compile_strategy
from app.backtest.outcome import Outcome
from app.backtest.play import Play
from app.domain.errors import ConfigurationError
from app.indicators.registry import columns_of
from app.optimize.space import Parameter
from app.optimize.windows import Piece
from app.risk.ids import magic_of
from app.setting_values import EvaluationMode
from app.settings import Settings
from app.strategies.evaluate import Strategy
from app.strategies.schema import StrategyFile
from app.strategies.search_space import Candidate, with_values
from app.strict_yaml import Document
from app.validation import shown


class InterruptedTrialError(Exception):
    """The operator ended the search while a trial was running."""


class Bench:
    """Runs a strategy of `symbol` with any values on any piece of its history.

    Strategy and indicators are those there were when it was made, whatever becomes of their files.
    """

    def __init__(self, settings: Settings, symbol: str, document: Document) -> None:
        self._settings = settings
        self._symbol = symbol
        self._document = document
        parts = assembly.connect(settings)
        try:
            self.span = Piece(*Play(symbol, parts).span)
            self.indicators = parts.indicators
            self.warnings = parts.warnings
        finally:
            parts.close()

    def check(self, parameter: Parameter, candidate: Candidate) -> None:
        """Raise ConfigurationError where the strategy cannot be traded with this other value.

        What only several values together make impossible is left to the trials.
        """
        try:
            self._compiled(self._file({parameter.path: candidate}))
        except ValidationError:
            return
        except ConfigurationError as error:
            where = self._document.where(("optimize", parameter.path))
            raise ConfigurationError(f"{where}: with {shown(candidate)}: {error}") from None

    def strategy(self, values: Mapping[str, Candidate]) -> Strategy:
        """Return the strategy with these values (path -> value) and the file's others.

        Raises:
            ConfigurationError: together they are no strategy.

        """
        try:
            return self._compiled(self._file(values))
        except ValidationError as error:
            raise strict_yaml.complain(self._document, error, StrategyFile) from None

    def _file(self, values: Mapping[str, Candidate]) -> StrategyFile:
        return StrategyFile.model_validate(with_values(self._document.data, values))

    def _compiled(self, file: StrategyFile) -> Strategy:
        options = self._settings.services
        return compile_strategy(
            self._document,
            file,
            self._symbol,
            lambda timeframe: columns_of(self.indicators[self._symbol, timeframe]),
            magic=magic_of,
            rows_kept=options.indicator_calculation.recent_rows_limit,
            any_candle=options.strategy_evaluation.evaluation_mode is EvaluationMode.ON_ANY_CANDLE,
        )

    def run(
        self,
        values: Mapping[str, Candidate],
        piece: Piece,
        stopped: Callable[[], bool] = lambda: False,
        name: str = "trial",
    ) -> Outcome:
        """Return the backtest of the strategy with these values on a piece of its history.

        Raises:
            ConfigurationError: the values are no strategy.
            InterruptedTrialError: `stopped` said so before it was done.

        """
        strategy = self.strategy(values)
        market = self._settings.market_data
        dated = market.model_copy(update={"start": piece.began, "until": piece.until})
        parts = assembly.connect(self._settings.model_copy(update={"market_data": dated}))
        play = Play(
            name,
            replace(
                parts,
                indicators=self.indicators,
                strategies={self._symbol: (strategy,)},
            ),
        )

        def look(_now: datetime) -> None:
            if stopped():
                play.stop()

        look(piece.began)
        play.run(look)
        outcome = play.outcome()
        if not outcome.complete:
            raise InterruptedTrialError
        return outcome
