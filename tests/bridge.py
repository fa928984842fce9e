"""The bridge as a process of its own, for tests that trade against it over real HTTP."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
_READY = re.compile(r"bridge at (http://\S+?), account")


class Bridge:
    """A running bridge: `url` for the dialect, `control_url` for what is behind it."""

    def __init__(self, process, url, said):
        self.process = process
        self.url = url
        self.said = said
        self.control_url = re.match(r"http://[^/]+", url)[0] + "/control"

    def get(self, path):
        """Ask the dialect; return the data of the reply."""
        return self._data("GET", f"{self.url}/{path}")

    def call(self, method, path, headers=None, **body):
        """Send JSON to the dialect; return the whole reply."""
        return self._sent(method, f"{self.url}/{path}", body, headers)

    def order(self, symbol="EURUSD", order_type="BUY", volume=0.1, headers=None, **fields):
        """Create an order; return the result."""
        empty = {"price": None, "sl": None, "tp": None, "comment": None, "magic": None}
        body = {"symbol": symbol, "volume": volume, "order_type": order_type, **empty, **fields}
        return self.call("POST", "orders/create", headers, **body)["data"]

    def close(self, symbol, ticket, volume=None):
        """Close a position; return the result."""
        return self.call("POST", f"positions/{symbol}/close/{ticket}", volume=volume)["data"]

    def control(self, path, **body):
        """Tell the control endpoint something; return the data of the reply."""
        return self._sent("POST", f"{self.control_url}/{path}", body)["data"]

    def step(self, seconds=0, **to):
        """Let market time pass."""
        return self.control("step", seconds=seconds, **to)["clock"]

    def faults(self, *faults):
        """Add faults to the schedule: dictionaries of the fields of `app.bridge.faults.Fault`."""
        return self._sent("POST", f"{self.control_url}/faults", list(faults))["data"]

    def applied(self):
        """Return which faults there are, and how often each was applied."""
        return self._data("GET", f"{self.control_url}/faults")

    def no_faults(self):
        """Forget all faults."""
        return self._sent("DELETE", f"{self.control_url}/faults", {})["data"]

    def ledger(self):
        """Return the referee's book."""
        return self._data("GET", f"{self.control_url}/ledger")

    def stop(self):
        """End the process as a service manager does; return its exit code and what it said."""
        self.process.terminate()
        try:
            out, _ = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        self.said += out
        return self.process.returncode

    def kill(self):
        """End the process without a word."""
        self.process.kill()
        self.process.communicate()

    def _data(self, method, url):
        return self._sent(method, url, None)["data"]

    def _sent(self, method, url, body, headers=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(url, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode()
            raise BridgeRefusedError(error.code, text) from None


class BridgeRefusedError(AssertionError):
    """The bridge answered with an HTTP error."""

    def __init__(self, status, text):
        super().__init__(f"HTTP {status}: {text}")
        self.status = status
        self.text = text


def start_bridge(*arguments, stepped=True, modules=()):
    """Start ``python -m app.bridge`` on a free port; stepped by hand unless told otherwise.

    `modules` are folders of further Python modules that are installed where it runs.
    """
    path = os.pathsep.join(map(str, (ROOT, *modules)))
    pace = ("--speed", "0") if stepped else ()
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [sys.executable, "-m", "app.bridge", "--port", "0", *pace, *map(str, arguments)],
        env={**environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    said = ""
    for line in process.stdout:
        said += line
        ready = _READY.search(line)
        if ready:
            return Bridge(process, ready[1], said)
    process.communicate()
    raise AssertionError(f"the bridge did not start, exit code {process.returncode}:\n{said}")
