"""Watch the best prices of a book. Needs no login: market data are public.

Usage: python watch_book.py [CEA|EUA] [ws://127.0.0.1:8000/graphql]
"""
# ruff: noqa: T201 - an example prints

import asyncio
import sys

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

BOOK = gql("""subscription Book($certificate: CertificateType!) {
  orderBook(certificateType: $certificate, depth: 1) { sequence bestBid bestAsk lastPrice at } }""")


async def watch(certificate: str = "CEA", url: str = "ws://127.0.0.1:8000/graphql") -> None:
    BOOK.variable_values = {"certificate": certificate}
    async with Client(transport=WebsocketsTransport(url)) as session:
        async for event in session.subscribe(BOOK):
            print(certificate, event["orderBook"])


if __name__ == "__main__":
    asyncio.run(watch(*sys.argv[1:]))
