"""The doctor's parts by themselves: facts, findings, room on the disk, words."""

from pathlib import Path

import pytest

from app.adapters.mt5.client import MaybeSentError, NoAnswerError, NotSentError
from app.adapters.mt5.dialect import RefusalError
from app.doctor.examination import Checked, Report, lines
from app.doctor.facts import Facts, UnknownError, fact
from app.doctor.findings import Status, fails, failure, not_checked, ok, warning
from app.doctor.records import ENOUGH_FREE, LEAST_FREE, room
from app.domain.errors import (
    AccountHeldError,
    ConfigurationError,
    JournalError,
    PermissionDeniedError,
    SourceError,
    UnavailableError,
)


class Weather(Facts):
    """Facts that count how often they are looked for."""

    def __init__(self):
        super().__init__(None)
        self.looks = []
        self.trouble = None

    @fact("the barometer is broken")
    def pressure(self):
        self.looks.append("pressure")
        if self.trouble is not None:
            raise self.trouble
        return 1013

    @fact("the forecast is not known")
    def forecast(self):
        return self.pressure + 1


class TestFacts:
    def test_each_is_found_out_once(self):
        with Weather() as weather:
            assert (weather.forecast, weather.pressure, weather.forecast) == (1014, 1013, 1014)
            assert weather.looks == ["pressure"]

    @pytest.mark.parametrize("trouble", [SourceError("no answer"), UnavailableError("down")])
    def test_what_hides_one_is_told_once(self, trouble):
        """Red when an error is not remembered: the second asks again, and fails again."""
        with Weather() as weather:
            weather.trouble = trouble
            with pytest.raises(type(trouble)):
                _ = weather.pressure
            with pytest.raises(UnknownError, match="the barometer is broken"):
                _ = weather.pressure
            with pytest.raises(UnknownError, match="the barometer is broken"):
                _ = weather.forecast
            assert weather.looks == ["pressure"]

    def test_a_defect_is_no_finding(self):
        """What nobody expected is not kept quiet."""
        with Weather() as weather:
            weather.trouble = ZeroDivisionError()
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    _ = weather.pressure

    def test_two_examinations_share_nothing(self):
        with Weather() as one, Weather() as other:
            one.trouble = SourceError("no answer")
            with pytest.raises(SourceError):
                _ = one.pressure
            assert other.pressure == 1013


class TestFindings:
    def test_only_a_failure_has_an_exit_code(self):
        assert [it.exit_code for it in (ok("a"), warning("b", "c"), not_checked("d"))] == [0, 0, 0]
        assert fails("a", "b").exit_code == 78

    @pytest.mark.parametrize(
        ("error", "code", "fix"),
        [
            (ConfigurationError("x"), 78, "correct it"),
            (UnavailableError("x"), 69, "log the terminal in"),
            (AccountHeldError("x"), 75, "stop that daemon"),
            (JournalError("x"), 74, "OPERATIONS.md"),
            (PermissionDeniedError("x"), 77, "read and write it"),
            (NotSentError("x"), 69, "start the bridge"),
            (NoAnswerError("x"), 69, "start the bridge anew"),
            (MaybeSentError("x"), 69, "log of the bridge"),
            (SourceError("x"), 69, "log of the bridge"),
            (RefusalError("x", 401, "no", {}), 69, "user and password"),
            (RefusalError("x", 403, "no", {}), 69, "let this machine in"),
            (RefusalError("x", 404, "no", {}), 69, "ends with its path"),
            (RefusalError("x", 418, "no", {}), 69, "log of the bridge"),
            (RefusalError("x", 500, "no", {}), 69, "log of the bridge"),
        ],
    )
    def test_every_error_has_its_code_and_its_fix(self, error, code, fix):
        found = failure(error)
        assert (found.status, found.exit_code, found.says) == (Status.FAILS, code, str(error))
        assert fix in found.fix


class TestRoom:
    @pytest.mark.parametrize(
        ("free", "status", "code"),
        [
            (LEAST_FREE - 1, Status.FAILS, 74),
            (LEAST_FREE, Status.WARNING, 0),
            (ENOUGH_FREE - 1, Status.WARNING, 0),
            (ENOUGH_FREE, Status.OK, 0),
        ],
    )
    def test_its_bounds(self, free, status, code):
        found = room(Path("data"), free, ENOUGH_FREE)
        assert (found.status, found.exit_code) == (status, code)
        assert "MB are free on the disk of data" in found.says


def test_a_finding_is_a_line():
    report = Report(
        ready=False,
        exit_code=69,
        checks=(
            Checked("bridge", Status.FAILS, "no answer", "start it"),
            Checked("sizes", Status.NOT_CHECKED, "no answer", ""),
        ),
    )
    assert list(lines(report)) == [
        "FAILS       bridge: no answer. Fix: start it",
        "not checked sizes: no answer",
    ]
