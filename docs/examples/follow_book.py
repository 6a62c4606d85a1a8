"""Keep a correct book of every level by following its changes, through lost connections too. Needs no login.

Usage: python follow_book.py [CEA|EUA] [ws://127.0.0.1:8000/graphql]
"""
# ruff: noqa: T201 - an example prints

import asyncio
import sys
import zlib
from decimal import Decimal

from gql import Client, gql
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport

CHANGES = gql("""subscription Changes($certificate: CertificateType!, $after: BigInt) {
  orderBookChanges(certificateType: $certificate, afterSequence: $after) {
    ... on OrderBookSnapshot { reason book { sequence checksum bids { price quantity } asks { price quantity } } }
    ... on OrderBookDelta { sequence previousSequence checksum changes { side price quantity } }
    ... on OrderBookHeartbeat { newest: sequence at } } }""")


class Book:
    """The levels of a book: price → quantity, both as they were sent."""

    def __init__(self) -> None:
        self.levels: dict[str, dict[str, str]] = {"BUY": {}, "SELL": {}}
        self.sequence: int | None = None  # None: begin anew

    def best(self, side: str, count: int = 10) -> list[str]:
        return sorted(self.levels[side], key=Decimal, reverse=side == "BUY")[:count]

    def take(self, event: dict) -> None:
        """Carry one event out; raises when it does not lead to the book it should."""
        if "newest" in event:  # a heartbeat: if we are not there by the next one, we miss something
            return
        if "book" in event:
            event = event["book"]
            for side, levels in (("BUY", event["bids"]), ("SELL", event["asks"])):
                self.levels[side] = {level["price"]: level["quantity"] for level in levels}
        elif event["previousSequence"] != self.sequence:
            raise ValueError(f"a gap between {self.sequence} and {event['previousSequence']}")
        else:
            for change in event["changes"]:  # absolute: what is at this price now
                self.levels[change["side"]][change["price"]] = change["quantity"]
                if change["quantity"] == "0":
                    del self.levels[change["side"]][change["price"]]
        sides = (("b", "BUY"), ("a", "SELL"))
        text = "".join(f"{x}:{price}:{self.levels[side][price]};" for x, side in sides for price in self.best(side))
        if zlib.crc32(text.encode()) != event["checksum"]:
            raise ValueError(f"not the book of {event['sequence']}")
        self.sequence = event["sequence"]


async def follow(certificate: str = "CEA", url: str = "ws://127.0.0.1:8000/graphql") -> None:
    book = Book()
    while True:
        CHANGES.variable_values = {"certificate": certificate, "after": book.sequence}
        try:
            async with Client(transport=WebsocketsTransport(url, keep_alive_timeout=5)) as session:
                async for event in session.subscribe(CHANGES):
                    book.take(event["orderBookChanges"])
                    print(certificate, book.sequence, *book.best("BUY", 1), "|", *book.best("SELL", 1), flush=True)
        except ValueError as defect:
            print(f"{defect}; beginning anew", file=sys.stderr)
            book.sequence = None
        except (TransportError, OSError) as error:
            print(f"connection lost ({error}); going on after {book.sequence}", file=sys.stderr)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(follow(*sys.argv[1:]))
