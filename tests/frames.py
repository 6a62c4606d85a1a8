"""Messages of a web socket as a peer without a library reads them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

SECONDS_MAX = 10


async def receive(connection: ClientConnection) -> dict[str, Any]:
    """Wait for the next message."""
    async with asyncio.timeout(SECONDS_MAX):
        text = await connection.recv()
    assert isinstance(text, str), "browsers cannot read binary frames"
    message: dict[str, Any] = json.loads(text)
    return message


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """Wait for the close frame."""
    while True:
        try:
            await receive(connection)
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "lost without a close frame")
