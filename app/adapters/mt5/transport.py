"""Requests to the bridge: one total deadline each, a limit on what is read, nothing followed.

The only module that imports httpx. It uses its requests and its transport and leaves its client
out: proxies of the environment, redirects and cookies do not exist here.
"""

import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from time import monotonic
from urllib.parse import unquote, urlencode

import httpcore
import httpx
import msgspec

from app.adapters.mt5.deadlines import Flag, Network
from app.domain.errors import ConfigurationError, SourceError

_KEPT = 2.0
"""Seconds an idle connection is kept: less than servers do, so that few are closed under us."""
_JSON_CONTENT = {"Content-Type": "application/json"}
_OUT_OF_REACH = (httpcore.ConnectTimeout, httpcore.PoolTimeout)
_BROKEN_OFF = (httpcore.NetworkError, httpcore.ProtocolError)


class NotSentError(SourceError):
    """No byte of the request has left."""


class UnreachableError(NotSentError):
    """All the time a connection may take was waited for in vain: what is sent there is lost."""


class MaybeSentError(SourceError):
    """The request may have arrived, and may have been obeyed."""


class NoAnswerError(MaybeSentError):
    """The whole deadline was waited for in vain."""


class TooLongError(MaybeSentError):
    """The reply is longer than was to be read."""


class Reply(msgspec.Struct, frozen=True):
    """What came back, whatever its status; `retry_after` as the header has it."""

    status: int
    body: bytes
    retry_after: str


class Transport:
    """Connections to one bridge, for any number of threads.

    Args:
        base_url: of the bridge; credentials in it are sent and never shown.
        connections: how many at most, kept for the next request; 0 opens one for each, so that
            none can have been closed under it.
        stop: when it is set, a reply is awaited for `grace` seconds more.
        grace: see `stop`.

    Raises:
        ConfigurationError: the address is none.

    """

    def __init__(self, base_url: str, *, connections: int, stop: Flag, grace: float) -> None:
        url = _checked(base_url)
        self.address = str(url.copy_with(userinfo=b"")).rstrip("/")
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if url.userinfo:
            pair = unquote(url.userinfo.decode()).encode()
            self._headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        self._wire = _Wire(
            httpcore.ConnectionPool(
                ssl_context=ssl.create_default_context() if url.scheme == "https" else None,
                max_connections=connections or None,
                max_keepalive_connections=connections,
                keepalive_expiry=_KEPT,
                network_backend=Network(stop, grace),
            )
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        limit: int,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request once and return the whole reply.

        Args:
            method: of HTTP.
            path: below the base address, quoted.
            timeout: seconds for all of it together.
            limit: bytes the reply's body may have.
            query: parameters.
            content: a JSON body.
            headers: further ones.

        Raises:
            NotSentError: there was no connection to send it on; UnreachableError: nor any answer
                to the wish for one.
            MaybeSentError: something went wrong after that.

        """
        end = monotonic() + timeout
        request = httpx.Request(
            method,
            f"{self.address}/{path}?{urlencode(query)}" if query else f"{self.address}/{path}",
            headers={**self._headers, **(_JSON_CONTENT if content else {}), **(headers or {})},
            content=content,
            extensions={"timeout": {"connect": end, "read": end, "write": end, "pool": timeout}},
        )
        try:
            return self._received(request, limit)
        except (httpcore.ConnectError, *_OUT_OF_REACH) as error:
            kind = UnreachableError if isinstance(error, _OUT_OF_REACH) else NotSentError
            raise kind(f"{method} {path}: cannot connect to {self.address}: {error}") from None
        except httpcore.TimeoutException:
            raise NoAnswerError(f"{method} {path}: no answer in {timeout:g} s") from None
        except _BROKEN_OFF as error:
            raise MaybeSentError(f"{method} {path}: no answer: {error}") from None

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._wire.close()

    def _received(self, request: httpx.Request, limit: int) -> Reply:
        response = self._wire.handle_request(request)
        try:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    raise TooLongError(
                        f"{request.method} {request.url.path}: a reply of more than {limit:,} bytes"
                    )
        finally:
            response.close()
        return Reply(response.status_code, bytes(body), response.headers.get("Retry-After", ""))


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
        if url.scheme in {"http", "https"} and url.host:
            return url
    except (httpx.InvalidURL, UnicodeError):
        pass
    raise ConfigurationError("api.base_url: expected an address such as http://127.0.0.1:8000")


class _Wire(httpx.BaseTransport):
    """httpx's transport over a pool of our own connections."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; raises httpcore's errors as they are."""
        url = request.url
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """A reply's body as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
