"""The door over HTTP: every request gets an answer in the shape of GraphQL, and nobody gets in by a side way."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from graphql import GraphQLError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from structlog.testing import capture_logs

import api.http
from api.errors import RETRY_AFTER_S, Code, RequestError, presented
from api.http import BODY_BYTES_MAX_ANONYMOUS, BODY_BYTES_MAX_SIGNED_IN, answer_type
from tests.api import echo_app

NODE_SCRIPTS = Path(__file__).parent / "node"
NODE_SECONDS_MAX = 60
RESPONSE_TYPE = "application/graphql-response+json"
BEARER = {"Authorization": f"Bearer {echo_app.TOKEN}"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with echo_app.running() as address:
        yield address


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{address}") as client:
        yield client


def ask(http: httpx.Client, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    return http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)


def code_of(response: httpx.Response) -> str:
    assert response.headers["content-type"].split(";")[0] in {"application/json", RESPONSE_TYPE}
    body = response.json()
    assert "data" not in body
    code: str = body["errors"][0]["extensions"]["code"]
    return code


def node(script: str, *arguments: str) -> Any:
    program = shutil.which("node")
    assert program, "node is needed for the tests of the door"
    process = subprocess.run(
        [program, "--experimental-websocket", "--no-warnings", NODE_SCRIPTS / script, *arguments],
        capture_output=True,
        text=True,
        timeout=NODE_SECONDS_MAX,
        check=False,
        env={**os.environ},
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


# --- public clients


async def test_the_public_audits_of_graphql_over_http_all_pass(address: str) -> None:
    outcome = await asyncio.to_thread(node, "audit.mjs", f"http://{address}/graphql")
    assert outcome == {"ok": 61, "rest": []}


async def test_urql_and_graphql_ws_read_what_we_send(address: str) -> None:
    outcome = await asyncio.to_thread(
        node, "clients.mjs", f"http://{address}/graphql", '{ echo(text: "hi") }', "subscription { count(to: 3) }"
    )
    assert outcome == {
        "urqlPost": {"data": {"echo": "hi"}},
        "urqlGet": {"data": {"echo": "hi"}},
        "events": [{"count": 0}, {"count": 1}, {"count": 2}],
    }


async def test_gql_reads_what_we_send(address: str) -> None:
    async with Client(transport=AIOHTTPTransport(f"http://{address}/graphql", headers=BEARER)) as client:
        assert await client.execute(gql("{ caller }")) == {"caller": "bearer"}


# --- malformed requests


def refused_bodies() -> dict[str, tuple[bytes, int]]:
    query = b'"query":"{ __typename }"'
    return {
        "empty": (b"", 400),
        "bad utf-8": (b'{"query":"\xff"}', 400),
        "utf-16": ('{"query":"{ __typename }"}'.encode("utf-16"), 400),
        "byte order mark": (b"\xef\xbb\xbf{" + query + b"}", 400),
        "100,000 deep": (b'{"query":' + b"[" * 100_000, 400),
        "NaN": (b"{" + query + b',"variables":{"a":NaN}}', 400),
        "Infinity": (b"{" + query + b',"variables":{"a":-Infinity}}', 400),
        "NaN behind a surrogate": (b"{" + query + b',"variables":{"a":NaN,"b":"\\ud800"}}', 400),
        "deep behind a surrogate": (b'{"b":"\\ud800","a":' + b"[" * 100_000, 400),
        "batch": (b"[{" + query + b"}]", 400),
        "empty batch": (b"[]", 400),
        "string": (b'"query"', 400),
        "number": (b"7", 400),
        "null": (b"null", 400),
        "no query": (b"{}", 400),
        "blank query": (b'{"query":"  "}', 400),
        "query null": (b'{"query":null}', 400),
        "query list": (b'{"query":["{ __typename }"]}', 400),
        "variables list": (b"{" + query + b',"variables":[]}', 400),
        "operationName number": (b"{" + query + b',"operationName":1}', 400),
        "extensions string": (b"{" + query + b',"extensions":"x"}', 400),
        "trailing comma": (b"{" + query + b",}", 400),
        "two objects": (b"{" + query + b"}{" + query + b"}", 400),
        "single quotes": (b"{'query':'{ __typename }'}", 400),
    }


@pytest.mark.parametrize("name", refused_bodies())
def test_a_malformed_body_is_refused_with_json(http: httpx.Client, name: str) -> None:
    body, status = refused_bodies()[name]
    response = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, code_of(response)) == (status, "BAD_REQUEST")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/jsonx",
        "application/json+x",
        "text/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "application/json; charset=utf-16",
        "",
    ],
)
def test_other_media_types_are_refused(http: httpx.Client, content_type: str) -> None:
    response = http.post("/graphql", content=b'{"query":"{ __typename }"}', headers={"Content-Type": content_type})
    assert (response.status_code, code_of(response)) == (415, "BAD_REQUEST")


def test_compressed_bodies_are_refused(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert http.post("/graphql", content=b"x", headers=headers).status_code == 415


@pytest.mark.parametrize("content_type", ["application/json", 'APPLICATION/JSON ; Charset="UTF-8"'])
def test_json_in_any_spelling_is_accepted(http: httpx.Client, content_type: str) -> None:
    response = http.post("/graphql", content=b'{"query":"{ __typename }"}', headers={"Content-Type": content_type})
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "query_string",
    [
        "",
        "query=",
        "query=%FF",
        "query={__typename}&variables=[",
        "query={__typename}&variables=[]",
        "query={__typename}&extensions=1",
        "&".join(f"a{number}=1" for number in range(100)),
    ],
)
def test_malformed_parameters_are_refused_with_json(http: httpx.Client, query_string: str) -> None:
    response = http.get(f"/graphql?{query_string}", headers={"Accept": "text/html"})
    assert (response.status_code, code_of(response)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(http: httpx.Client, method: str) -> None:
    response = http.request(method, "/graphql", json={"query": "{ __typename }"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert code_of(response) == "BAD_REQUEST"


# --- bodies of bounded size and time


def body_of(length: int) -> bytes:
    frame = len(b'{"query":"{ __typename }","variables":{"a":""}}')
    return b'{"query":"{ __typename }","variables":{"a":"' + b"x" * (length - frame) + b'"}}'


@pytest.mark.parametrize(
    ("headers", "limit"),
    [({}, BODY_BYTES_MAX_ANONYMOUS), (BEARER, BODY_BYTES_MAX_SIGNED_IN)],
    ids=["anonymous", "signed in"],
)
def test_a_body_is_bounded_by_who_sends_it(http: httpx.Client, headers: dict[str, str], limit: int) -> None:
    headers = {**headers, "Content-Type": "application/json"}
    assert http.post("/graphql", content=body_of(limit), headers=headers).status_code == 200
    response = http.post("/graphql", content=body_of(limit + 1), headers=headers)
    assert (response.status_code, code_of(response)) == (413, "BAD_REQUEST")
    assert f"{limit:,}" in response.json()["errors"][0]["message"]


def test_a_body_without_announced_length_is_bounded_too(http: httpx.Client) -> None:
    body = body_of(BODY_BYTES_MAX_ANONYMOUS + 1)
    chunks = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    response = http.post("/graphql", content=chunks, headers={"Content-Type": "application/json"})
    assert response.status_code == 413


def test_a_body_that_trickles_in_is_given_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.http, "BODY_SECONDS_MAX", 0.2)
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


# --- operations


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{", None),
        ("{ nothing }", None),
        ("{ echo }", None),
        ("{ echo(text: 1) }", None),
        ("query ($t: String!) { echo(text: $t) }", {}),
        ("query ($t: String!) { echo(text: $t) }", {"t": 1}),
        ("query ($t: String!) { echo(text: $t) }", {"t": "a\x00b"}),
        ('{ echo(text: "a\\u0000b") }', None),
        ("query A { __typename } query B { __typename }", None),
        ("fragment F on Query { __typename }", None),
    ],
)
def test_a_wrong_operation_has_no_data_and_the_status_its_client_expects(
    http: httpx.Client, query: str, variables: dict[str, Any] | None
) -> None:
    plain = ask(http, query, variables)
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert code_of(plain) == "BAD_REQUEST"
    strict = ask(http, query, variables, Accept=RESPONSE_TYPE)
    assert (strict.status_code, strict.headers["content-type"]) == (400, f"{RESPONSE_TYPE}; charset=utf-8")
    assert strict.json() == plain.json()


def test_of_several_operations_the_named_one_runs(http: httpx.Client) -> None:
    query = 'query A { echo(text: "a") } query B { echo(text: "b") } mutation C { rename(name: "c") }'
    answers = [
        http.post("/graphql", json={"query": query, "operationName": name}).json() for name in ("A", "B", "D", None, "")
    ]
    assert [answer.get("data") for answer in answers] == [{"echo": "a"}, {"echo": "b"}, None, None, None]
    assert answers[2]["errors"][0]["message"] == 'The document holds no operation named "D".'
    assert "operationName" in answers[3]["errors"][0]["message"]
    assert answers[4] == answers[3]


def test_mutations_are_refused_by_get(http: httpx.Client) -> None:
    response = http.get("/graphql", params={"query": 'mutation { rename(name: "a") }'}, headers=BEARER)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert code_of(response) == "BAD_REQUEST"


def test_subscriptions_are_pointed_to_the_web_socket(http: httpx.Client) -> None:
    response = ask(http, "subscription { count }")
    assert response.status_code == 400
    assert "graphql-transport-ws" in response.json()["errors"][0]["message"]


def test_a_lone_surrogate_is_a_value_that_does_not_coerce(http: httpx.Client) -> None:
    body = b'{"query":"query ($t: String!) { echo(text: $t) }","variables":{"t":"a\\ud83db"}}'
    response = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert response.json()["errors"][0]["message"] == (
        "Variables refused at t: text must not contain half of a surrogate pair (U+D83D, character 2); remove it."
    )


@pytest.mark.parametrize("number", [b"1e400", b"-1E+999", b"7" * 5_000])
def test_a_huge_number_is_a_value_that_does_not_coerce(http: httpx.Client, number: bytes) -> None:
    query = b'{"query":"query ($n: Int!, $t: Decimal!) { integer(value: $n) decimal(value: $t) }","variables":'
    body = query + b'{"n":1,"t":' + number + b"}}"
    response = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert code_of(response) == "BAD_REQUEST"
    (error,) = response.json()["errors"]  # the small number beside it is still one
    assert "Expected a decimal" in error["message"]


def test_a_whole_surrogate_pair_is_text(http: httpx.Client) -> None:
    body = b'{"query":"query ($t: String!) { echo(text: $t) }","variables":{"t":"\\ud83c\\udfc3"}}'
    response = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert response.json() == {"data": {"echo": "🏃"}}


def test_a_fault_is_masked_and_the_rest_of_the_answer_stays(http: httpx.Client) -> None:
    response = ask(http, '{ echo(text: "a") fault wrongResult }')
    body = response.json()
    assert response.status_code == 200
    assert body["data"] == {"echo": "a", "fault": None, "wrongResult": None}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["INTERNAL", "INTERNAL"]
    assert [error["path"] for error in body["errors"]] == [["fault"], ["wrongResult"]]
    assert "secret" not in response.text
    assert "number" not in response.text


def test_a_coded_error_is_handed_out_as_it_is(http: httpx.Client) -> None:
    error = ask(http, "{ denied }").json()["errors"][0]
    assert error == {
        "message": "Only admins may read this.",
        "locations": [{"line": 1, "column": 3}],
        "path": ["denied"],
        "extensions": {"code": "FORBIDDEN", "ticketId": "TKT-2026-000001"},
    }


def test_a_fault_is_logged_with_its_traceback_and_its_ticket() -> None:
    fault = RuntimeError("the secret of the house")
    fault.ticket_id = "TKT-2026-000009"  # type: ignore[attr-defined]
    with capture_logs() as entries:
        worded = presented([GraphQLError("the secret of the house", path=["a"], original_error=fault)])
    assert worded[0]["extensions"]["ticketId"] == "TKT-2026-000009"
    assert "secret" not in str(worded)
    assert entries[0]["exc_info"] is fault
    assert entries[0]["reference"] == worded[0]["extensions"]["reference"]


def test_an_own_error_is_not_logged() -> None:
    with capture_logs() as entries:
        presented([RequestError("No.", Code.FORBIDDEN), GraphQLError("Cannot query field 'x'.")])
    assert entries == []


def test_who_found_no_connection_to_read_may_come_back_and_nothing_is_logged() -> None:
    with capture_logs() as entries:
        (worded,) = presented([GraphQLError("?", path=["a"], original_error=NoConnectionError("none within 5 s"))])
    assert worded["extensions"] == {"code": "RATE_LIMITED", "retryAfter": RETRY_AFTER_S}
    assert worded["path"] == ["a"]
    assert entries == []


# --- what an answer carries


def test_tickets_are_named_in_a_header_in_order(http: httpx.Client) -> None:
    response = ask(http, 'mutation { b: rename(name: "b") a: rename(name: "a") }')
    assert response.headers["x-ticket-id"] == "TKT-2026-000003,TKT-2026-000004"
    assert response.json()["extensions"]["tickets"] == {"b": "TKT-2026-000003", "a": "TKT-2026-000004"}
    assert "x-ticket-id" not in ask(http, "{ __typename }").headers


def test_a_mutation_can_set_a_cookie(http: httpx.Client) -> None:
    response = ask(http, 'mutation { login(email: "a@b.example") }')
    assert response.headers["set-cookie"].startswith("carbondesk=")
    assert response.headers.get_list("content-type") == ["application/json; charset=utf-8"]


def test_answers_are_not_stored_and_carry_the_headers_of_the_guard(http: httpx.Client) -> None:
    for response in (ask(http, "{ __typename }"), http.get("/graphql")):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self';" in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("application/json", "application/json"),
        (RESPONSE_TYPE, RESPONSE_TYPE),
        (f"{RESPONSE_TYPE}, application/json", RESPONSE_TYPE),
        (f"application/json, {RESPONSE_TYPE}", "application/json"),
        (f"{RESPONSE_TYPE}; q=0.5, application/json", "application/json"),
        (f"application/json; q=0.9, {RESPONSE_TYPE}; charset=utf-8", RESPONSE_TYPE),
        (f"{RESPONSE_TYPE}; q=x", "application/json"),
    ],
)
def test_the_media_type_is_the_one_liked_best(accept: str, chosen: str) -> None:
    assert answer_type(accept) == chosen


# --- who asks

COOKIE = {"Cookie": "carbondesk=alice"}


def test_a_cookie_counts_from_this_site_only(http: httpx.Client, address: str) -> None:
    here = {"Origin": f"http://{address}"}
    for proof in (here, {"Sec-Fetch-Site": "same-origin"}, {**here, "Sec-Fetch-Site": "same-origin"}):
        assert ask(http, "{ caller }", None, **COOKIE, **proof).json() == {"data": {"caller": "alice"}}
    for forged in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{address}", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ):
        response = ask(http, "{ caller }", None, **COOKIE, **forged)
        assert (response.status_code, code_of(response)) == (403, "FORBIDDEN")


def test_a_cookie_never_counts_for_get(http: httpx.Client, address: str) -> None:
    headers = {**COOKIE, "Origin": f"http://{address}", "Sec-Fetch-Site": "same-origin"}
    assert http.get("/graphql?query={caller}", headers=headers).json() == {"data": {"caller": None}}
    assert http.get("/graphql?query={caller}", headers={**headers, **BEARER}).json() == {"data": {"caller": "bearer"}}


def test_a_bearer_token_outranks_a_cookie_and_may_come_from_anywhere(http: httpx.Client) -> None:
    headers = {**COOKIE, **BEARER, "Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert ask(http, "{ caller }", None, **headers).json() == {"data": {"caller": "bearer"}}


def test_a_refused_caller_gets_the_status_of_the_refusal(http: httpx.Client) -> None:
    response = ask(http, "{ caller }", None, Authorization="Bearer stolen")
    assert (response.status_code, code_of(response)) == (401, "UNAUTHENTICATED")
