"""What the service manager hears, over a real datagram socket in its place."""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.service_manager import PulsingClock, ServiceManager

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="systemd needs unix sockets, as we do"
)

Hears = Callable[[], list[str]]


class CountingClock:
    """A clock whose waits take no time and are written down; it stops after so many."""

    def __init__(self, waits: int = 1_000_000) -> None:
        self.waited: list[float] = []
        self._left = waits

    def now(self) -> datetime:
        return datetime(2025, 1, 6, tzinfo=UTC)

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self._left -= 1
        return self._left > 0

    def stop(self) -> None:
        self._left = 0


@contextmanager
def listening(address: str) -> Iterator[Hears]:
    """Be the service manager at `address`; what it gives returns the messages since last asked."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.setblocking(False)

        def heard() -> list[str]:
            messages = []
            try:
                while True:
                    messages.append(ear.recv(4096).decode())
            except BlockingIOError:
                return messages

        yield heard


@pytest.fixture
def place() -> Iterator[str]:
    """Return a path short enough for a unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "notify")


@pytest.fixture
def hears(place: str) -> Iterator[Hears]:
    with listening(place) as heard:
        yield heard


def manager(place: str, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": place, **environ})


class TestMessages:
    def test_the_life_of_a_run(self, place: str, hears: Hears) -> None:
        """sd_notify: READY and STOPPING once, a sign of life between them."""
        told = manager(place)
        told.watch(CountingClock())
        told.ready("trading EURUSD, paper broker")
        told.pulse()
        told.stopping()
        assert hears() == [
            "READY=1\nSTATUS=trading EURUSD, paper broker",
            "WATCHDOG=1",
            "STOPPING=1\nSTATUS=stopping",
        ]

    def test_a_replay_is_not_waited_for(self, place: str, hears: Hears) -> None:
        """Its waits are as long as its candles and cannot be cut: the manager is told so."""
        manager(place, WATCHDOG_USEC="1000000").ready("trading")
        assert hears() == ["READY=1\nSTATUS=trading\nWATCHDOG_USEC=0"]

    def test_a_status_stays_on_its_line(self, place: str, hears: Hears) -> None:
        """Red when the status is sent as it is: a name could end the daemon's own watch."""
        told = manager(place)
        told.watch(CountingClock())
        told.ready("evil\nWATCHDOG_USEC=0")
        assert hears() == ["READY=1\nSTATUS=evil\\nWATCHDOG_USEC=0"]

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
    def test_an_abstract_socket(self) -> None:
        name = f"mt5-daemon-test-{os.getpid()}"
        with listening(f"\0{name}") as heard:
            manager(f"@{name}").pulse()
            assert heard() == ["WATCHDOG=1"]

    @pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative/path"])
    def test_without_a_socket_nobody_is_told(
        self, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = manager(name, WATCHDOG_USEC="1000000")
        clock = CountingClock()
        assert told.watch(clock) is clock
        told.ready("trading")
        told.stopping()
        assert not caplog.records

    def test_a_manager_that_is_gone_is_reported_once(
        self, place: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Trading goes on; when the manager comes back and goes again, that is said again."""
        told = manager(place)
        told.pulse()
        told.pulse()
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "cannot be told" in caplog.text
        with listening(place) as heard:
            told.pulse()
            assert heard() == ["WATCHDOG=1"]
        Path(place).unlink()
        told.pulse()
        assert len(caplog.records) == 2

    def test_a_manager_that_does_not_read_holds_nobody_up(
        self, place: str, hears: Hears, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Red without a timeout at the socket: the loop, then the end, would wait for ever."""
        told = manager(place)
        while not caplog.records:
            told.pulse()
        told.stopping()
        assert len(caplog.records) == 1
        hears()
        told.stopping()
        assert hears() == ["STOPPING=1\nSTATUS=stopping"]


class TestSignsOfLife:
    @given(
        seconds=st.floats(0, 10_000, allow_nan=False), every=st.floats(0.5, 100, allow_nan=False)
    )
    def test_waits_are_cut_into_slices(self, seconds: float, every: float) -> None:
        """Never longer than half of what the manager waits, and together what was asked for."""
        clock, pulses = CountingClock(), []
        assert PulsingClock(clock, every, lambda: pulses.append(len(clock.waited))).wait(seconds)
        assert max(clock.waited) <= every
        assert sum(clock.waited) == pytest.approx(seconds)
        assert pulses == list(range(len(clock.waited)))

    def test_a_stopped_clock_ends_the_wait_at_once(self) -> None:
        clock = CountingClock(waits=3)
        assert not PulsingClock(clock, 1.0, lambda: None).wait(100)
        assert len(clock.waited) == 3

    def test_stop_and_now_are_the_clocks(self) -> None:
        bare = CountingClock()
        clock = PulsingClock(bare, 1.0, lambda: None)
        assert clock.now() == bare.now()
        clock.stop()
        assert not clock.wait(1)

    def test_twice_as_often_as_the_manager_asks(self, place: str, hears: Hears) -> None:
        clock = CountingClock()
        manager(place, WATCHDOG_USEC="6000000", WATCHDOG_PID=str(os.getpid())).watch(clock).wait(7)
        assert clock.waited == [3, 3, 1]
        assert hears() == ["WATCHDOG=1"] * 3

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "soon"},
            {"WATCHDOG_USEC": "-5"},
            {"WATCHDOG_USEC": "²"},
            {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        ],
    )
    def test_whom_nobody_watches_gives_none(self, place: str, environ: dict[str, str]) -> None:
        """Red when WATCHDOG_PID is not compared: a child would answer for its parent."""
        clock = CountingClock()
        assert manager(place, **environ).watch(clock) is clock
