"""Follow the audit trail, each ticket once, also across a lost connection. Needs the token of an ADMIN or ANALYST.

Usage: TOKEN=... python watch_tickets.py [ws://127.0.0.1:8000/graphql]
"""
# ruff: noqa: T201 - an example prints

import asyncio
import os
import sys

from gql import Client, gql
from gql.transport.exceptions import TransportClosed, TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport

FORBIDDEN = 4403  # close code
TICKETS = gql("""subscription Tickets($after: ID) {
  tickets(after: $after) { ticketId actionType status summary errorCode } }""")


async def watch(url: str = "ws://127.0.0.1:8000/graphql") -> None:
    init = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    while True:
        try:
            async with Client(transport=WebsocketsTransport(url, init_payload=init)) as session:
                async for event in session.subscribe(TICKETS):
                    ticket = event["tickets"]
                    print(*(value for value in ticket.values() if value))
                    TICKETS.variable_values = {"after": ticket["ticketId"]}  # where the next connection goes on
        except (TransportClosed, TransportConnectionFailed, OSError) as error:
            if getattr(getattr(error.__cause__, "rcvd", None), "code", None) == FORBIDDEN:
                sys.exit("This token is not valid, or has ended. Sign in again.")
            print(f"connection lost ({error}), trying again", file=sys.stderr)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(watch(*sys.argv[1:]))
