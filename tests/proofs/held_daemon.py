"""A live daemon that goes on only when it is told to, and strace on one of its threads.

It is forked from this process, which has imported it already. All of it is the daemon's own but the
clock, whose waits last until the next order comes, and two halts at which strace can be attached:
when it is born, and when its thread for the bridge is.
"""

import os
import select
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from app import assembly, daemon, link, main_orchestrated  # noqa: F401 - ahead of the fork
from app.adapters.journal import migrations  # noqa: F401 - as above
from app.adapters.mt5 import workers
from app.ports import Clock

PATIENCE = 60
"""Real seconds after which a daemon that neither waits nor ends hangs."""
START, CYCLE, TERMINATE = "start", "cycle", "terminate"

_BORN, _WORKER, _WAITS = "born", "worker", "waits"


class HungError(Exception):
    """A daemon that neither waited nor ended."""


class HeldDaemon:
    """A daemon as whoever gives it orders sees it.

    Attributes:
        pid: of the process, and of its main thread.
        worker: its thread for the bridge, 0 before that is born.
        on_worker: told of that thread before it does anything.
        code: its exit code, negative for the signal that ended it; ``None`` while it lives.

    """

    def __init__(self, folder: Path, environ: Mapping[str, str], log: Path) -> None:
        order, self._orders = os.pipe()
        self._said, say = os.pipe()
        self.worker = 0
        self.on_worker: Callable[[int], object] = lambda _: None
        self.code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            os.close(self._orders)
            os.close(self._said)
            _live(folder, environ, log, _Line(order, say))
        os.close(order)
        os.close(say)
        self._halted()

    def tell(self, *orders: str) -> None:
        """Let it go on; one that was killed where it waits shows its end when it is waited for."""
        with suppress(BrokenPipeError):
            os.write(self._orders, f"{' '.join(orders)}\n".encode())

    def go(self, *orders: str) -> bool:
        """Let it go on until it waits again; ``False`` when it ended. Raises HungError."""
        self.tell(*orders)
        while self.code is None:
            where, thread = self._halted()
            if where == _WAITS:
                return True
            if where == _WORKER:
                self.worker = thread
                self.on_worker(thread)
                self.tell(START)
        return False

    def kill(self) -> None:
        """End it as kill -9 does, unless it ended."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._ended()

    def _halted(self) -> tuple[str, int]:
        """Return where it halts, and which thread; nowhere when it ended."""
        ready, _, _ = select.select([self._said], [], [], PATIENCE)
        if not ready:
            self.kill()
            raise HungError(f"it neither waited nor ended for {PATIENCE} s")
        where, _, thread = os.read(self._said, 100).decode().partition(" ")
        if not where:
            self._ended()
        return where, int(thread or 0)

    def _ended(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        os.close(self._orders)
        os.close(self._said)


class _Line:
    """The daemon's end of the line: it says where it is and waits for an order."""

    def __init__(self, orders: int, says: int) -> None:
        self._orders = orders
        self._says = says

    def halt(self, where: str) -> str:
        os.write(self._says, f"{where} {threading.get_native_id()}".encode())
        order = os.read(self._orders, 100).decode()
        if not order:
            os._exit(1)  # whoever gave orders is gone
        return order


class _HeldClock:
    """The bridge's clock; a wait ends with an order, which says what time it is and what to do."""

    def __init__(self, clock: Clock, line: _Line) -> None:
        self.now = clock.now
        self._clock = clock
        self._line = line
        self._stopped = False

    def wait(self, _seconds: float) -> bool:
        if self._stopped:
            return False
        time, *orders = self._line.halt(_WAITS).split()
        self._clock.told(datetime.fromisoformat(time), 0.0)
        if TERMINATE in orders:
            os.kill(os.getpid(), signal.SIGTERM)
        return CYCLE in orders

    def stop(self) -> None:
        self._stopped = True
        self._clock.stop()


def _live(folder: Path, environ: Mapping[str, str], log: Path, line: _Line) -> None:
    """Be the daemon, to the end of the process."""
    code = 1
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        line.halt(_BORN)
        connected = assembly.connect

        def connect(*arguments: object, **options: object) -> assembly.Parts:
            parts = connected(*arguments, **options)
            return replace(parts, clock=_HeldClock(parts.clock, line))

        assembly.connect = connect
        workers.ThreadPoolExecutor = partial(
            ThreadPoolExecutor, initializer=partial(line.halt, _WORKER)
        )
        code = main_orchestrated.main([])
    except BaseException:  # noqa: BLE001 - nothing gets past the fork
        traceback.print_exc()
    finally:
        os._exit(code)


class Strace:
    """strace on a thread, or with ``-f`` on a process; attached once this is made."""

    def __init__(self, thread: int, *options: str) -> None:
        self._process = subprocess.Popen(
            ["strace", "-e", "signal=none", *options, "-p", str(thread)],
            stderr=subprocess.PIPE,
            text=True,
        )
        said = self._process.stderr.readline()
        if "attached" not in said:
            self._process.communicate()
            raise RuntimeError(f"strace: {said.strip()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()
