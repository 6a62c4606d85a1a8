"""A book in the terminal: `carbondesk watch CEA` follows its changes and says how far they can be trusted just now."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from api.ladder import SIDES, Level, checksum

DEPTH: Final = 10  # levels a side on the screen
FRAMES_PER_S: Final = 8
SILENT_S_MAX: Final = 3.0  # without a heartbeat, or without one that says something new
BEHIND_S_MAX: Final = 2.0  # from hearing of a sequence to being there
RETRY_S: Final = 1.0
OPEN_S_MAX: Final = 5.0
MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024  # a whole book of some 300,000 levels
PROTOCOL: Final = Subprotocol("graphql-transport-ws")
QUERY: Final = """subscription Watch($type: CertificateType!, $after: BigInt) {
  orderBookChanges(certificateType: $type, afterSequence: $after) {
    __typename
    ... on OrderBookSnapshot { reason book { sequence checksum
      bids { price quantity orderCount } asks { price quantity orderCount } } }
    ... on OrderBookDelta { sequence previousSequence checksum changes { side price quantity orderCount } }
    ... on OrderBookHeartbeat { newest: sequence at } } }"""


class LostError(Exception):
    """Say why a connection ended, or why what it brought cannot be the book."""


def level_of(sent: Mapping[str, Any]) -> Level:
    """Read a level as it is sent."""
    return Level(Decimal(sent["price"]), Decimal(sent["quantity"]), int(sent["orderCount"]))


@dataclass
class Watched:
    """A book as its changes tell it, and what is known of its age. Times are those of the monotonic clock."""

    levels: dict[str, dict[Decimal, Level]] = field(default_factory=lambda: {side: {} for side in SIDES})
    sequence: int | None = None
    newest: int = -1  # of the database, by the last heartbeat
    newest_at: str = ""  # when the database said so
    fresh_at: float = 0.0  # when it last said something new
    behind_since: float | None = None
    trouble: str = "connecting"  # empty while a connection stands

    def side(self, side: str) -> list[Level]:
        """Return a side, best first."""
        return sorted(self.levels[side].values(), reverse=side == "BUY")

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """Carry one event out.

        Raises: LostError
        """
        match event["__typename"]:
            case "OrderBookHeartbeat":
                if event["at"] != self.newest_at:
                    self.newest, self.newest_at, self.fresh_at = event["newest"], event["at"], now
            case "OrderBookSnapshot":
                book = event["book"]
                for side, sent in (("BUY", book["bids"]), ("SELL", book["asks"])):
                    self.levels[side] = {level.price: level for level in map(level_of, sent)}
                self._reach(book)
            case "OrderBookDelta":
                if event["previousSequence"] != self.sequence:
                    self.sequence = None
                    raise LostError("there was a gap")
                for change in event["changes"]:
                    level = level_of(change)
                    if level.quantity:
                        self.levels[change["side"]][level.price] = level
                    else:
                        self.levels[change["side"]].pop(level.price, None)
                self._reach(event)
        if self.sequence is None or self.sequence >= self.newest:
            self.behind_since = None
        elif self.behind_since is None:
            self.behind_since = now

    def state(self, now: float) -> tuple[str, str]:
        """Return what is to be thought of the book, and in which style to say so."""
        age = now - self.fresh_at if self.fresh_at else 0.0
        if self.trouble:
            return (f"{self.trouble}; {age:.0f} s old" if self.sequence is not None else self.trouble), "bold red"
        if age > SILENT_S_MAX:
            return f"stale: the database has said nothing for {age:.0f} s", "bold red"
        if self.behind_since is not None and now - self.behind_since > BEHIND_S_MAX:
            return f"behind: the newest is {self.newest}", "bold yellow"
        return f"live, {age:.1f} s old", "green"

    def _reach(self, event: Mapping[str, Any]) -> None:
        if checksum(self.side("BUY"), self.side("SELL")) != event["checksum"]:
            self.sequence = None
            raise LostError("this was not the book")
        self.sequence = event["sequence"]


def picture(certificate_type: str, watched: Watched, now: float) -> Group:
    """Draw the best levels of both sides, asks above bids, and the state below."""
    table = Table(title=f"{certificate_type}  #{watched.sequence if watched.sequence is not None else '…'}", box=None)
    for name in ("orders", "quantity", "price"):
        table.add_column(name, justify="right", min_width=10)
    rows = [("red", level) for level in reversed(watched.side("SELL")[:DEPTH])]
    rows += [("green", level) for level in watched.side("BUY")[:DEPTH]]
    last = None
    for style, level in rows:
        if last == "red" and style == "green":
            table.add_row("", "", "")
        last = style
        table.add_row(str(level.order_count), f"{level.quantity:f}", Text(f"{level.price:.2f}", style))
    said, style = watched.state(now)
    return Group(table, Text(said, style))


async def follow(url: str, certificate_type: str, watched: Watched) -> None:
    """Keep a book for ever, coming back after every loss."""
    while True:
        try:
            await _follow_once(url, certificate_type, watched)
        except LostError as lost:
            watched.trouble = str(lost)
        except InvalidHandshake as refused:
            watched.trouble = f"{url} does not answer as an API: {refused}"
        except (OSError, WebSocketException, TimeoutError):
            watched.trouble = f"no connection to {url}"
        await asyncio.sleep(RETRY_S)


async def _follow_once(url: str, certificate_type: str, watched: Watched) -> None:
    async with connect(
        url, subprotocols=[PROTOCOL], open_timeout=OPEN_S_MAX, max_size=MESSAGE_BYTES_MAX, compression=None
    ) as connection:
        await connection.send(json.dumps({"type": "connection_init"}))
        async with asyncio.timeout(OPEN_S_MAX):
            await connection.recv()
        variables = {"type": certificate_type, "after": watched.sequence}
        payload = {"query": QUERY, "variables": variables}
        await connection.send(json.dumps({"id": "watch", "type": "subscribe", "payload": payload}))
        while True:
            async with asyncio.timeout(SILENT_S_MAX + OPEN_S_MAX):
                message = json.loads(await connection.recv())
            if message["type"] == "error":
                raise LostError(message["payload"][0]["message"])
            if message["type"] == "next":
                watched.take(message["payload"]["data"]["orderBookChanges"], time.monotonic())
                watched.trouble = ""


async def watch(url: str, certificate_type: str, seconds: float | None) -> None:
    """Show a book until interrupted, or for so many seconds."""
    watched = Watched()
    following = asyncio.create_task(follow(url, certificate_type, watched), name="watch")
    ends_at = None if seconds is None else time.monotonic() + seconds
    try:
        with Live(auto_refresh=False) as live:
            while ends_at is None or time.monotonic() < ends_at:
                live.update(picture(certificate_type, watched, time.monotonic()), refresh=True)
                await asyncio.sleep(1 / FRAMES_PER_S)
                if following.done():
                    await following
    finally:
        following.cancel()
