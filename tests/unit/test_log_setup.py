"""The shapes of log lines, what reaches them, and what happens when nobody takes them."""

import io
import json
import logging
import re
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import log_setup
from app.domain.market import Timeframe
from app.events import correlation_id
from app.log_setup import configure, get_logger

ROOT = Path(__file__).parents[2]
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
SERVICE = "services.DataFetchingService"
SECRET = "hunter2-the-password"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    configure()
    log_setup._own_levels.clear()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name in (*log_setup.QUIET_LIBRARIES, SERVICE):
        logging.getLogger(name).setLevel(logging.NOTSET)


@contextmanager
def cycle(name: str = "a1b2c3d4") -> Iterator[None]:
    token = correlation_id.set(name)
    try:
        yield
    finally:
        correlation_id.reset(token)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return the lines on standard output since the last call."""

    def read() -> list[str]:
        return capsys.readouterr().out.splitlines()

    return read


def raised(text: str) -> ValueError:
    """Return an error that was raised where a local holds a secret."""

    def connect(password: str) -> None:
        assert password
        raise ValueError(text)

    try:
        connect(SECRET)
    except ValueError as error:
        return error
    raise AssertionError


def fetched() -> None:
    get_logger(SERVICE).info(
        "Fetched data for %s %s: %d bars",
        "EURUSD",
        Timeframe("1"),
        3,
        symbol="EURUSD",
        timeframe=Timeframe("1"),
        bars=3,
    )


# Text


def test_a_line_outside_a_cycle(lines: Callable[[], list[str]]) -> None:
    """F1, X4."""
    configure()
    before = datetime.now(UTC).replace(microsecond=0)
    get_logger("orchestrator").info("=== ALL SERVICES STARTED ===")
    (line,) = lines()
    assert re.fullmatch(rf"{WHEN} INFO orchestrator: === ALL SERVICES STARTED ===", line)
    when = datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert before <= when <= before + timedelta(minutes=1)


def test_a_line_inside_a_cycle(lines: Callable[[], list[str]]) -> None:
    """F2, P6."""
    configure()
    with cycle():
        fetched()
    (line,) = lines()
    assert re.fullmatch(
        rf"\[{WHEN}\] \[a1b2c3d4\] \[DataFetchingService\] INFO: "
        r"Fetched data for EURUSD 1: 3 bars",
        line,
    )


def test_the_console_writes_bare_lines(lines: Callable[[], list[str]]) -> None:
    """L1."""
    configure()
    console = get_logger(log_setup.CONSOLE)
    for text in ("=" * 80, "", "Starting"):
        console.info(text)
    assert lines() == ["=" * 80, "", "Starting"]


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_every_level_is_named(level: str, lines: Callable[[], list[str]]) -> None:
    configure(level="DEBUG")
    getattr(get_logger("x"), level.lower())("hello")
    assert [line[20:] for line in lines()] == [f"{level} x: hello"]


def test_no_value_can_forge_a_line(lines: Callable[[], list[str]]) -> None:
    """F1: whatever would end a line or move the cursor is written as an escape."""
    configure()
    evil = "x\n2025-01-06 10:00:00 INFO a: \r\u2028\x85\x1b[2K✓ ü"
    get_logger("a").info("got %s", evil)
    logging.getLogger("foreign").warning("got %s", evil)
    first, second = lines()
    escaped = r"got x\n2025-01-06 10:00:00 INFO a: \r\u2028\x85\x1b[2K✓ ü"
    assert first.endswith(f" INFO a: {escaped}")
    assert second.endswith(f" WARNING foreign: {escaped}")


@settings(max_examples=100)
@given(text=st.text(st.characters(codec="utf-8")), as_json=st.booleans(), inside=st.booleans())
def test_any_text_is_one_line(text: str, *, as_json: bool, inside: bool) -> None:
    """F1-F11: any text at all, in message and field."""
    stdout = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        configure(as_json=as_json)
        with cycle("00000001" if inside else "-"):
            get_logger("a").info(text, field=text)
    written = stdout.getvalue()
    if as_json:
        assert json.loads(written)["message"] == text
        assert (written.count("\n"), written[-1]) == (1, "\n")
    else:
        assert len(written.splitlines()) == 1
        assert written[:-1].isprintable()


def test_an_exception_is_shown_with_its_trace_and_cannot_forge_a_line(
    lines: Callable[[], list[str]],
) -> None:
    configure()
    error = raised("bad\n2025-01-06 10:00:00 INFO x: all is well")
    get_logger("a").error("it failed", exc_info=error)
    first, *trace = lines()
    assert first.endswith(" ERROR a: it failed")
    assert trace[0] == "  Traceback (most recent call last):"
    assert "  ValueError: bad" in trace
    assert all(line.startswith("  ") for line in trace)


def test_a_foreign_exception_is_shown_once(lines: Callable[[], list[str]]) -> None:
    configure()
    logging.getLogger("foreign").error("it failed", exc_info=raised("bad"))
    first, *trace = lines()
    assert first.endswith(" ERROR foreign: it failed")
    assert [line.strip() for line in trace].count("ValueError: bad") == 1


# JSON


def test_the_documented_json_line(lines: Callable[[], list[str]]) -> None:
    """F3-F11, P29: these keys, in this order, and no others."""
    configure(as_json=True)
    before = datetime.now(UTC)
    with cycle():
        fetched()
    (written,) = lines()
    line = json.loads(written)
    timestamp = line.pop("timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", timestamp)
    assert before <= datetime.fromisoformat(timestamp) <= datetime.now(UTC)
    assert list(line.items()) == [
        ("level", "INFO"),
        ("logger", "services.DataFetchingService"),
        ("message", "Fetched data for EURUSD 1: 3 bars"),
        ("correlation_id", "a1b2c3d4"),
        ("service", "DataFetchingService"),
        ("symbol", "EURUSD"),
        ("timeframe", "1"),
        ("bars", 3),
    ]


def test_json_outside_a_cycle_and_of_no_service(lines: Callable[[], list[str]]) -> None:
    """F3."""
    configure(as_json=True)
    get_logger("orchestrator").warning("hello")
    line = json.loads(lines()[0])
    assert list(line) == ["timestamp", "level", "logger", "message"]


def test_json_shows_any_value(lines: Callable[[], list[str]]) -> None:
    configure(as_json=True)
    get_logger("a").info(
        "values",
        price=Decimal("1.10"),
        when=datetime(2025, 1, 6, tzinfo=UTC),
        folder=Path("logs"),
        missing=float("nan"),
        by_number={1: "one"},
    )
    line = json.loads(lines()[0])
    assert line["price"] == "1.10"
    assert line["when"] == "2025-01-06T00:00:00+00:00"
    assert line["folder"] == "logs"
    assert line["missing"] is None
    assert line["by_number"] == {"1": "one"}


def test_json_that_cannot_be_encoded_is_written_as_texts(lines: Callable[[], list[str]]) -> None:
    """A file name that is no text, or a number beyond 64 bits, costs no line."""
    configure(as_json=True)
    get_logger("a").info("cannot read %s", "caf\udce9", huge=2**70)
    line = json.loads(lines()[0])
    assert line["message"] == r"cannot read caf\udce9"
    assert line["huge"] == str(2**70)
    assert line["level"] == "INFO"


def test_json_has_no_decoration(lines: Callable[[], list[str]]) -> None:
    """F3: rules and blank lines are for eyes only."""
    configure(as_json=True)
    console = get_logger(log_setup.CONSOLE)
    for text in ("=" * 80, "", "Starting", "=== Final System Metrics ==="):
        console.info(text)
    logging.getLogger(log_setup.CONSOLE).warning("=")
    assert [json.loads(line)["message"] for line in lines()] == [
        "Starting",
        "=== Final System Metrics ===",
        "=",
    ]


def test_a_json_exception_holds_the_frames_and_no_locals(lines: Callable[[], list[str]]) -> None:
    """Locals could hold secrets."""
    configure(as_json=True)

    for logger in (get_logger("a"), logging.getLogger("foreign")):
        logger.error("it failed", exc_info=raised("refused"))
    for written in lines():
        assert SECRET not in written
        (told,) = json.loads(written)["exception"]
        assert (told["exc_type"], told["exc_value"]) == ("ValueError", "refused")
        assert told["frames"][-1]["name"] == "connect"
        assert "locals" not in told["frames"][-1]


def test_a_text_exception_holds_no_locals(lines: Callable[[], list[str]]) -> None:
    configure()
    get_logger("a").error("it failed", exc_info=raised("refused"))
    shown = lines()
    assert "  ValueError: refused" in shown
    assert not any(SECRET in line for line in shown)


# What holds for both


@pytest.mark.parametrize("as_json", [False, True])
def test_foreign_records_take_the_same_shapes(
    as_json: bool, lines: Callable[[], list[str]]
) -> None:
    """F1-F11, P11."""
    configure(as_json=as_json)
    foreign = logging.getLogger("somelib.http")
    foreign.info("GET %s", "/bars")
    with cycle():
        foreign.info("GET %s", "/bars")
    outside, inside = lines()
    if as_json:
        line = json.loads(inside)
        line.pop("timestamp")
        assert line == {
            "level": "INFO",
            "logger": "somelib.http",
            "message": "GET /bars",
            "correlation_id": "a1b2c3d4",
        }
        assert "correlation_id" not in json.loads(outside)
    else:
        assert re.fullmatch(rf"{WHEN} INFO somelib.http: GET /bars", outside)
        assert re.fullmatch(rf"\[{WHEN}\] \[a1b2c3d4\] \[http\] INFO: GET /bars", inside)


@pytest.mark.parametrize("as_json", [False, True])
def test_lines_carry_no_id_when_correlation_is_off(
    as_json: bool, lines: Callable[[], list[str]]
) -> None:
    """C22."""
    configure(as_json=as_json, correlation_ids=False)
    with cycle():
        fetched()
        logging.getLogger("foreign").info("hello")
    for line in lines():
        assert "a1b2c3d4" not in line
        assert "correlation_id" not in line
        assert as_json or re.match(rf"{WHEN} INFO ", line)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("ERROR", ["error"]),
    ],
)
def test_the_level_decides_what_is_shown(
    level: str, shown: list[str], lines: Callable[[], list[str]]
) -> None:
    """C20, M10-M12: also for banners and foreign libraries."""
    configure(level=level)
    loggers = (get_logger("a"), get_logger(log_setup.CONSOLE), logging.getLogger("foreign"))
    for logger in loggers:
        for name in ("debug", "info", "warning", "error"):
            getattr(logger, name)(name)
    assert [re.split(r"[ ]", line)[-1] for line in lines()] == shown * len(loggers)


def test_a_single_logger_has_its_own_level(lines: Callable[[], list[str]]) -> None:
    """P8."""
    configure(level="WARNING", levels={SERVICE: "DEBUG", "loud": "ERROR"})
    get_logger(SERVICE).debug("shown")
    get_logger("services.Other").info("hidden")
    get_logger("loud").warning("hidden")
    assert [line[20:] for line in lines()] == [f"DEBUG {SERVICE}: shown"]


def test_libraries_that_chatter_are_quiet_unless_asked(lines: Callable[[], list[str]]) -> None:
    configure(level="DEBUG")
    logging.getLogger("httpx").info("hidden")
    configure(level="DEBUG", levels={"httpx": "INFO"})
    logging.getLogger("httpx").info("shown")
    assert [line[20:] for line in lines()] == ["INFO httpx: shown"]


def test_configuring_again_replaces_everything(
    tmp_path: Path, lines: Callable[[], list[str]]
) -> None:
    """X14: first from the environment alone, then in full."""
    first = tmp_path / "first.log"
    configure(level="DEBUG", levels={SERVICE: "ERROR"}, file=first)
    configure(level="INFO")
    get_logger(SERVICE).debug("hidden")
    get_logger(SERVICE).info("shown")
    assert [line[20:] for line in lines()] == [f"INFO {SERVICE}: shown"]
    assert first.read_text() == ""
    assert len(logging.getLogger().handlers) == 1


def test_a_suppressed_line_is_not_even_formatted() -> None:
    configure(level="WARNING")

    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    get_logger("a").info("%s", Costly())


# The file


def test_the_file_gets_the_lines_of_the_console(
    tmp_path: Path, lines: Callable[[], list[str]]
) -> None:
    """C23, C24."""
    path = tmp_path / "logs" / "trading_system.log"
    configure(as_json=True, file=path)
    with cycle():
        fetched()
        get_logger(SERVICE).info("✓ created")
    written = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["message"] for line in written] == [
        "Fetched data for EURUSD 1: 3 bars",
        "✓ created",
    ]
    assert len(lines()) == 2


def test_no_file_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C23."""
    monkeypatch.chdir(tmp_path)
    configure()
    fetched()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX permissions")
def test_the_file_and_all_its_successors_are_private(tmp_path: Path) -> None:
    """C24: log lines tell balances and account numbers."""
    path = tmp_path / "logs" / "trading_system.log"
    configure(file=path, file_max_bytes=500, file_backups=2)
    for number in range(40):
        get_logger("a").info("line %d", number)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [
        "trading_system.log",
        "trading_system.log.1",
        "trading_system.log.2",
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert all(file.stat().st_size <= 500 for file in files)
    assert "line 39" in path.read_text()


def test_an_existing_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("before\n")
    configure(file=path)
    get_logger("a").info("after")
    assert path.read_text().startswith("before\n2")


def test_a_file_that_cannot_be_written_leaves_the_old_set_up(
    tmp_path: Path, lines: Callable[[], list[str]]
) -> None:
    configure()
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(OSError, match="file"):
        configure(level="ERROR", file=blocker / "logs" / "a.log")
    get_logger("a").info("still here")
    assert len(lines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
def test_a_full_disk_is_said_once_and_the_console_goes_on(
    lines: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(file=Path("/dev/full"))
    for number in range(3):
        get_logger("a").info("line %d", number)
    shown = [line[20:] for line in lines()]
    assert shown[0] == "INFO a: line 0"
    assert shown[1].startswith("ERROR logging: log file given up: [Errno 28]")
    assert shown[2:] == ["INFO a: line 1", "INFO a: line 2"]
    assert capsys.readouterr().err == ""


def test_a_programming_error_in_a_foreign_line_is_shown_and_harms_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.log"
    configure(file=path)
    logging.getLogger("foreign").warning("%d", "no number")
    get_logger("a").info("next")
    captured = capsys.readouterr()
    assert captured.err.count("--- Logging error ---") == 2
    assert captured.out.endswith("INFO a: next\n")
    assert path.read_text().endswith("INFO a: next\n")


# Standard output that goes away


def run(program: str, *, pipe_to: str = "", encoding: str = "utf-8") -> tuple[str, str, int]:
    """Run a program, optionally through a shell pipe; return output, errors and its exit code."""
    code = textwrap.dedent(program)
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin"}
    if not pipe_to:
        done = subprocess.run(
            command, capture_output=True, env=environment, check=False, timeout=60
        )
        return done.stdout.decode("utf-8"), done.stderr.decode("utf-8"), done.returncode
    writer = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert writer.stdout is not None
    reader = subprocess.Popen(["sh", "-c", pipe_to], stdin=writer.stdout, stdout=subprocess.PIPE)
    writer.stdout.close()
    shown, _ = reader.communicate(timeout=60)
    assert writer.stderr is not None
    errors = writer.stderr.read().decode("utf-8")
    writer.stderr.close()
    return shown.decode("utf-8"), errors, writer.wait(timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_program_goes_on_when_nobody_reads_its_output(tmp_path: Path) -> None:
    """M16: `python -m app.main_orchestrated | head -1` neither breaks nor loses a line of file."""
    log = tmp_path / "a.log"
    told = tmp_path / "told"
    shown, errors, code = run(
        f"""
        import time
        from pathlib import Path
        from app import log_setup

        def closed():
            with Path({str(told)!r}).open("a") as file:
                file.write("closed\\n")

        log_setup.configure(file=Path({str(log)!r}), on_stdout_closed=closed)
        log = log_setup.get_logger("a")
        log.info("line 0")
        until = time.monotonic() + 20
        number = 0
        while time.monotonic() < until and not Path({str(told)!r}).exists():
            number += 1
            log.info("line %d", number)
            time.sleep(0.01)
        for _ in range(5):
            number += 1
            log.info("line %d", number)
        print("the interpreter ends well")
        """,
        pipe_to="head -1",
    )
    assert re.fullmatch(rf"{WHEN} INFO a: line 0\n", shown)
    assert errors == ""
    assert code == 0
    assert told.read_text() == "closed\n"
    numbers = [int(line.split()[-1]) for line in log.read_text().splitlines()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 6


def test_a_console_without_the_characters_shows_escapes() -> None:
    """L6: on a console that knows no "✓", as an old Windows code page, logging goes on."""
    shown, errors, code = run(
        """
        from app import log_setup

        def closed():
            raise SystemExit("given up")

        log_setup.configure(on_stdout_closed=closed)
        log_setup.get_logger("a").info("✓ created")
        log_setup.get_logger("a").info("next")
        """,
        encoding="ascii",
    )
    assert (errors, code) == ("", 0)
    assert [line[20:] for line in shown.splitlines()] == [r"INFO a: \u2713 created", "INFO a: next"]


def test_a_closed_stream_is_told_once_in_the_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    log = tmp_path / "a.log"
    configure(file=log, on_stdout_closed=lambda: told.append("closed"))
    stdout.close()
    for number in range(3):
        get_logger("a").info("line %d", number)
    assert told == ["closed"]
    assert len(log.read_text().splitlines()) == 3
    assert sys.stdout is None
