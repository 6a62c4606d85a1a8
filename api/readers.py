"""Reader processes: what analysts ask, and what is heavy, is answered beside the process that has the desk.

GraphQL execution is work of one event loop, and a loop that carries the desk has none to spare. So `carbondesk serve`
starts READERS processes of the same program (`api.reading`) that wait for whoever trades (nice). A query that belongs
to them is sent on as it came, over HTTP on a loopback listener that the child inherits, with the caller's own
credentials, from a socket with his session's id; the reader looks at session and policy as any door does. What makes a
request ours is a secret that each child is told by its standard input: nobody else can say for whom he asks.

While no reader answers, what belongs to one waits a moment and is then refused, with RATE_LIMITED: were it answered
here, whatever ended the reader would end the market next.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog
from starlette.responses import Response
from yarl import URL

from api.errors import RETRY_AFTER_S, Code, RequestError
from api.events import cancel, supervise
from api.guard import CLIENT, SCHEME, SECRET, SECURE_SCHEMES, SESSION
from api.origin import client_address
from api.supervisor import Child, listen
from domain.people import UserRole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from starlette.requests import HTTPConnection, Request
    from starlette.websockets import WebSocket

    from api.context import Context
    from api.origin import Network
    from api.wire import Asked

AT_ONCE_MAX: Final = 32  # requests at one reader, of which one heavy document is executed and 16 may wait
WAITING_MAX: Final = 64  # requests for which no reader is free
WAIT_S_MAX: Final = 5.0  # for a reader that is free, or that starts
ANSWER_S_MAX: Final = 120.0  # a turn is waited for 15 s, and 20 root fields ask one after the other, for 5 s each
CONNECT_S_MAX: Final = 1.0
PROBE_S_MAX: Final = 5.0  # it has the lowest priority
LOOK_S: Final = 0.1  # how often is looked whether a reader ended, or has started
KEPT_S: Final = 30.0  # an idle connection
KEEP_ALIVE_S: Final = 60  # a reader keeps its end for longer, so that none is closed under a request
STOP_WAIT_S: Final = 3.0  # nobody waits for an answer any more when readers are ended
HOST: Final = "127.0.0.1"
SECRET_BYTES: Final = 32
# What a door reads of a request, and what an answer says of itself; anything else is between the client and us.
ASKED: Final = (b"accept", b"authorization", b"content-encoding", b"content-type", b"cookie", b"host", b"origin",
                b"sec-fetch-site", b"user-agent")  # fmt: skip
ANSWERED: Final = ("Allow", "Cache-Control", "Content-Type", "Retry-After")
UNSENT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # that the client would add of itself
NOT_ONLY_READ: Final = ("mutation", "subscription")  # no document without these words holds one
NONE_ANSWERS: Final = "What reads for analysts and for heavy documents does not answer now. Try again in a moment."
log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Process:
    """One reader: its listener stays while the process is started again."""

    child: Child
    listener: socket
    is_up: bool = False
    requests: int = 0  # under way

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.listener.getsockname()[1]}"


class Readers:
    """The readers of this process."""

    def __init__(self, count: int, proxies: Sequence[Network] = ()) -> None:
        """Take how many there are to be, and the proxies that are believed about who asks; `start` starts them."""
        self.count = count
        self.handed_over = 0
        self._proxies = proxies
        self._secret = secrets.token_urlsafe(SECRET_BYTES)
        self._processes: list[_Process] = []
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._waiting = 0

    @property
    def up(self) -> int:
        """How many answer."""
        return sum(one.is_up for one in self._processes)

    async def start(self) -> None:
        """Start all, and look after them; waits for none."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_S)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=UNSENT
        )
        for number in range(1, self.count + 1):
            listener = listen(HOST, 0)
            child = Child(
                f"reader {number}",
                ["reader", str(listener.fileno())],
                os.environ,
                listener.fileno(),
                STOP_WAIT_S,
                told=self._secret.encode() + b"\n",
            )
            self._processes.append(_Process(child, listener))
            await asyncio.to_thread(child.start)
        self._task = asyncio.create_task(supervise("readers", self._look_after), name="readers")

    async def stop(self) -> None:
        """End all, and wait for their end."""
        if self._task is not None:
            await cancel([self._task])
        await asyncio.gather(*(asyncio.to_thread(one.child.stop) for one in self._processes))
        for one in self._processes:
            one.listener.close()
        self._processes.clear()
        if self._session is not None:
            await self._session.close()

    def takes_all_of(self, context: Context, query: str) -> bool:
        """Tell whether a document is a reader's before anybody reads it: an analyst's, if it cannot but ask.

        What a reader answers to what is no document is what we would.
        """
        return context.has_role(UserRole.ANALYST) and not any(word in query for word in NOT_ONLY_READ)

    async def answer(self, request: Request, body: bytes) -> Response:
        """Send a request on, and return the answer as it is.

        Raises: RequestError (RATE_LIMITED: no reader was free in time, or it ended meanwhile).
        """
        headers = [
            (name.decode("ascii"), value.decode("utf-8", "replace"))
            for name, value in request.scope["headers"]
            if name in ASKED
        ]
        query = request.scope["query_string"].decode("latin-1")
        return await self._sent(request.method, f"/graphql?{query}" if query else "/graphql", request, headers, body)

    async def result(self, websocket: WebSocket, context: Context, asked: Asked) -> bytes:
        """Send on what was asked on a socket, as what its session asks by POST; return the body of the answer.

        Raises: RequestError (BAD_REQUEST: a figure that no type of ours holds), and as `answer`.
        """
        body = {"query": asked.query, "variables": asked.variables, "operationName": asked.operation_name,
                "extensions": asked.extensions}  # fmt: skip
        session = str(context.caller.session.id) if context.caller else ""
        headers = [("Content-Type", "application/json"), (SESSION, session)]
        try:
            encoded = json.dumps(body, allow_nan=False).encode("ascii")  # to orjson an infinite figure is null
        except ValueError:
            raise RequestError("A figure among the variables is too large.") from None
        return bytes((await self._sent("POST", "/graphql", websocket, headers, encoded)).body)

    async def _sent(
        self, method: str, path: str, origin: HTTPConnection, headers: list[tuple[str, str]], body: bytes
    ) -> Response:
        scheme = origin.scope["scheme"]
        headers += [(SECRET, self._secret), (CLIENT, client_address(origin, self._proxies) or "")]
        headers.append((SCHEME, "https" if scheme in SECURE_SCHEMES.values() else "http"))
        process = await self._free()
        process.requests += 1
        self.handed_over += 1
        try:
            return await self._asked(process, method, path, headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("reader_without_answer", reader=process.child.title, error=repr(error))
            raise _refusal(NONE_ANSWERS) from error
        finally:
            process.requests -= 1
            await self._tell()

    async def _asked(
        self, process: _Process, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Response:
        assert self._session is not None
        async with self._session.request(
            method,
            URL(f"{process.base}{path}", encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(ANSWER_S_MAX, sock_connect=CONNECT_S_MAX),
        ) as answer:
            told = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
            return Response(await answer.read(), answer.status, told)

    async def _free(self) -> _Process:
        """Wait for a reader that has least to do.

        Raises: RequestError (RATE_LIMITED).
        """
        if (found := self._idlest()) is not None:
            return found
        if self._waiting >= WAITING_MAX:
            raise _refusal(NONE_ANSWERS)
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S_MAX), self._changed:
                while (found := self._idlest()) is None:
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise _refusal(NONE_ANSWERS) from None
        finally:
            self._waiting -= 1

    def _idlest(self) -> _Process | None:
        free = [one for one in self._processes if one.is_up and one.requests < AT_ONCE_MAX]
        return min(free, key=lambda one: one.requests, default=None)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _look_after(self) -> None:
        """Notice who ended, start him again after his pause, and notice when he answers."""
        while True:
            for one in self._processes:
                if one.child.exit_code() is not None:
                    one.is_up = False
                    await asyncio.to_thread(one.child.revive, _say)
                elif not one.is_up and await self._answers(one):
                    one.is_up = True
                    await self._tell()
            await asyncio.sleep(LOOK_S)

    async def _answers(self, process: _Process) -> bool:
        assert self._session is not None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._session.get(
                f"{process.base}/healthz", headers={SECRET: self._secret}, timeout=aiohttp.ClientTimeout(PROBE_S_MAX)
            ) as answer:
                return answer.status == 200
        return False


def _refusal(message: str) -> RequestError:
    return RequestError(message, Code.RATE_LIMITED, 503, retryAfter=RETRY_AFTER_S)


def _say(message: str) -> None:
    log.warning("reader_ended", what=message)
