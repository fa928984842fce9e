"""A daemon in this process that trades through a bridge, and what may stand between the two."""

import threading
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ALWAYS_LONG = """
name: always-long
timeframes: ["1"]
entry: {long: {conditions: [{signal: close, operator: ">", value: 0}]}}
risk: {position_sizing: {type: fixed, value: 0.1}, sl: {type: fixed, value: 50}}
"""


class Live:
    """A daemon of this process at a bridge whose clock the test moves."""

    def __init__(self, run, broker):
        self.run = run
        self.broker = broker

    def after(self, *seconds):
        """Let so much market time pass, each time with a cycle at its end."""
        for each in seconds:
            self.run.parts.clock.told(datetime.fromisoformat(self.broker.step(each)), 0.0)
            self.run.orchestrator.run(max_cycles=1)
        return self.run

    def end(self):
        """Stop and let go of everything; may be called twice."""
        self.run.orchestrator.stop()
        self.run.parts.close()


class Relay:
    """Stands before a bridge: a test sees every request before it, and may change any reply."""

    def __init__(self, broker):
        self.before = lambda method, path: None
        self.changed = lambda path, reply: reply
        self._target = urlsplit(broker.url)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}{self._target.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def passed_on(self, method, path, body, headers):
        """Ask the bridge; return its status and what is to be said in its name."""
        self.before(method, path)
        with closing(HTTPConnection(self._target.netloc)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, self.changed(path, answer.read())


class ByTheServersClock(Relay):
    """Stands before a bridge that takes the times of requests for its server's wall clock."""

    def passed_on(self, method, path, body, headers):
        """Take the offset off the times asked for."""
        return super().passed_on(method, path.replace("%2B00%3A00", ""), body, headers)


def _handler_of(relay):
    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, reply = relay.passed_on(self.command, self.path, body, self.headers)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(reply)

        do_POST = do_DELETE = do_GET  # noqa: N815 - names of the standard library

        def log_message(self, *_):
            pass

    return Handler
