"""Ask carbondesk from Python: one answer, all pages of a list, or a file. docs/analysts.md uses it.

CARBONDESK_TOKEN says who asks; CARBONDESK_URL where, http://127.0.0.1:8000 when not set. Needs gql and httpx.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from gql import Client, GraphQLRequest
from gql.transport.httpx import HTTPXTransport

URL = os.environ.get("CARBONDESK_URL", "http://127.0.0.1:8000")
HEADERS = {"Authorization": f"Bearer {os.environ['CARBONDESK_TOKEN']}"}
CLIENT = Client(transport=HTTPXTransport(url=f"{URL}/graphql", headers=HEADERS, timeout=30))


def ask(document: str, **variables: Any) -> dict[str, Any]:
    """Return the data of the document in a file; raises TransportQueryError with what the API says."""
    return CLIENT.execute(GraphQLRequest(Path(document).read_text(encoding="utf-8"), variable_values=variables))


def pages(document: str, *way: str, **variables: Any) -> Iterator[dict[str, Any]]:
    """Yield the nodes of all pages of the connection that `way` leads to; the document takes its cursor as $after."""
    after = None
    while True:
        found = ask(document, after=after, **variables)
        for step in way:
            found = found[step]
        yield from found["nodes"]
        if not found["pageInfo"]["hasNextPage"]:
            return
        after = found["pageInfo"]["endCursor"]


def export(document: str, output: str, **variables: Any) -> int:
    """Write all rows of the document's list to a file, .csv, .ndjson or .parquet; return how many. Leaves a ticket."""
    body = {"query": Path(document).read_text(encoding="utf-8"), "variables": variables}
    address = f"{URL}/export/query{Path(output).suffix}"
    with httpx.stream("POST", address, json=body, headers=HEADERS, timeout=150) as answer:
        if answer.is_error:
            raise RuntimeError(httpx.Response(answer.status_code, content=answer.read()).json()["errors"][0]["message"])
        with Path(output).open("wb") as file:
            file.writelines(answer.iter_bytes())  # raises when the answer breaks off
    return int(answer.headers["X-Row-Count"])
