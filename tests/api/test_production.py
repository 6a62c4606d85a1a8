"""Production: what strangers may not learn, what does not start, and what every answer carries."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import websockets
from graphql import get_introspection_query
from websockets.typing import Subprotocol

from api.app import create_app
from api.settings import Settings, SettingsError
from tests.world import PASSWORD, Api, serving

LOGIN = "mutation($input: LoginInput!) { login(input: $input) { accessToken errors { code } } }"
MISSPELT = "{ certificate { name } }"
PROXIED = {"X-Forwarded-Proto": "https", "Host": "desk.example"}


@pytest.fixture(scope="module")
async def app_url(api: Api) -> AsyncIterator[str]:
    """Make a login for the API that owns nothing and acts as the application's role, as docs/security.md says."""
    parts = urlsplit(api.database_url)
    name, password = f"api_{secrets.token_hex(4)}", secrets.token_hex(8)
    await api.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    await api.sql(f'GRANT "{parts.path[1:]}_app" TO {name}')
    yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))
    await api.sql(f'REVOKE "{parts.path[1:]}_app" FROM {name}')
    await api.sql(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
async def production(api: Api, settings: Settings, app_url: str) -> AsyncIterator[Api]:
    strict = settings.model_copy(
        update={
            "mode": "production",
            "database_app_url": app_url,
            "allowed_hosts": ("desk.example", "127.0.0.1"),
            "trusted_proxies": (ip_network("127.0.0.0/24"),),
        }
    )
    async with serving(strict) as running:
        running.admin_token, running.admin_email = api.admin_token, api.admin_email
        yield running


async def ready(api: Api) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        answer: dict[str, Any] = (await client.get(api.url.replace("/graphql", "/readyz"))).json()
        return answer


# ------------------------------------------------------------------------------------------------------------ starting


def test_production_does_not_start_with_one_login(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="set DATABASE_APP_URL to a login of its own"):
        create_app(settings.model_copy(update={"mode": "production"}))
    for command in ("serve", "run"):
        said = subprocess.run(
            [sys.executable, "-m", "api", command],
            env={**os.environ, "CARBONDESK_ENV": "production", "CARBONDESK_HOME": str(settings.home)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (said.returncode, said.stderr.count("\n")) == (1, 1), said.stderr
        assert said.stderr.startswith("carbondesk: CARBONDESK_ENV=production: set DATABASE_APP_URL")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_production_does_not_start_with_the_owner_s_login_twice(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"mode": "production", "database_app_url": settings.database_url}))
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(SettingsError, match="owns the tables, is a superuser or may act as their owner"):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent[0]["type"] == "lifespan.startup.failed"


async def test_readiness_says_in_which_mode_and_what_guards_the_trail(api: Api, production: Api) -> None:
    found = await ready(api)
    assert (found["mode"], found["appendOnly"]) == ("development", "by role switch only")
    found = await ready(production)
    assert (found["mode"], found["appendOnly"]) == ("production", "by login")


async def test_what_the_process_logs_at_its_start_says_so_too(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(settings):
        pass
    assert "append_only_by_role_switch_only" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- what strangers learn


@pytest.mark.parametrize(
    "document",
    [
        get_introspection_query(),
        "{ __schema { types { name } } }",
        '{ me { id } __type(name: "User") { name } }',
        "{ ...F } fragment F on Query { __schema { types { name } } }",
        "{ ... on Query { a: __schema { types { name } } } }",
    ],
)
async def test_strangers_do_not_read_the_schema(api: Api, production: Api, document: str) -> None:
    body = (await production.post(document, None, "")).json()
    assert body == {"errors": [{"message": "Sign in to read the schema.", "extensions": {"code": "UNAUTHENTICATED"}}]}
    assert "errors" not in (await production.post(document)).json()
    if "TypeRef" not in document:  # deep, and in development depth counts for nobody's introspection
        assert "errors" not in (await api.post(document, None, "")).json()


async def test_strangers_get_no_names_suggested(api: Api, production: Api) -> None:
    for document in (
        MISSPELT,
        "{ orderBook(certificateTyp: CEA) { sequence } }",
        "{ orderBook(certificateType: CEE) { sequence } }",
        "query($x: CertificateTyp!) { orderBook(certificateType: $x) { sequence } }",
        "fragment F on Usr { id } { me { ...F } }",
        "mutation { logn { ticketId } }",
    ):
        stranger = (await production.post(document, None, "")).text
        assert "Did you mean" not in stranger, document
        assert "Did you mean" in (await production.post(document)).text, document
        assert "Did you mean" in (await api.post(document, None, "")).text, document
    asked = "query($c: CertificateType!) { orderBook(certificateType: $c) { sequence } }"
    assert "Did you mean" not in (await production.post(asked, {"c": "CEE"}, "")).text


async def test_strangers_learn_no_more_over_a_socket(production: Api) -> None:
    async with websockets.connect(
        production.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        for document in (MISSPELT, "{ __schema { types { name } } }", "subscription { orderBok { sequence } }"):
            await socket.send(json.dumps({"id": "a", "type": "subscribe", "payload": {"query": document}}))
            answer = json.loads(await socket.recv())
            assert answer["type"] == "error", answer
            assert "Did you mean" not in str(answer)


# ------------------------------------------------------------------------------------------- hosts, proxies, cookies


async def test_another_host_s_name_leads_nowhere(production: Api) -> None:
    base = production.url.removesuffix("/graphql")
    async with httpx.AsyncClient(base_url=base) as client:
        for path in ("/graphql", "/", "/export/tickets.csv"):
            refused = await client.get(path, headers={"Host": "evil.example"})
            assert (refused.status_code, refused.headers["cache-control"]) == (421, "no-store")
            assert refused.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert (
            await client.get("/graphql?query={__typename}", headers={"Host": "DESK.example:443"})
        ).status_code == 200
        assert (await client.get("/healthz", headers={"Host": "10.0.0.1"})).status_code == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base).port)
    writer.write(
        b"GET /graphql HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()


async def test_over_https_the_cookie_is_the_host_s_own_and_the_plain_one_is_none(production: Api) -> None:
    variables = {"input": {"email": production.admin_email, "password": PASSWORD}}
    response = await production.post(LOGIN, variables, "", **PROXIED)
    token = response.json()["data"]["login"]["accessToken"]
    cookie = SimpleCookie(response.headers["set-cookie"])["__Host-carbondesk"]
    assert (cookie.value, cookie["secure"], cookie["httponly"], cookie["samesite"]) == (token, True, True, "strict")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert response.headers["strict-transport-security"] == "max-age=31536000"
    here = {**PROXIED, "Origin": "https://desk.example", "Sec-Fetch-Site": "same-origin"}
    for name, is_signed_in in (("__Host-carbondesk", True), ("carbondesk", False)):
        me = (await production.post("{ me { id } }", None, "", Cookie=f"{name}={token}", **here)).json()["data"]["me"]
        assert (me is not None) is is_signed_in, name
    planted = f"carbondesk=x; __Host-carbondesk={token}"  # by another host of the domain
    assert (await production.post("{ me { id } }", None, "", Cookie=planted, **here)).json()["data"]["me"]
    out = await production.post("mutation { logout { ticketId } }", None, "", Cookie=planted, **here)
    assert SimpleCookie(out.headers["set-cookie"])["__Host-carbondesk"]["max-age"] == "0"


async def test_nobody_but_a_trusted_proxy_is_believed_about_https(api: Api) -> None:
    variables = {"input": {"email": api.admin_email, "password": PASSWORD}}
    response = await api.post(LOGIN, variables, "", **{"X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in response.headers
    assert response.headers["set-cookie"].startswith("carbondesk=")


async def test_over_plain_http_from_elsewhere_there_is_no_cookie_and_none_counts(api: Api) -> None:
    variables = {"input": {"email": api.admin_email, "password": PASSWORD}}
    port = urlsplit(api.url).port
    elsewhere = {"Host": f"desk.example:{port}"}
    response = await api.post(LOGIN, variables, "", **elsewhere)
    token = response.json()["data"]["login"]["accessToken"]
    assert "set-cookie" not in response.headers
    for name in ("carbondesk", "__Host-carbondesk"):
        here = {**elsewhere, "Cookie": f"{name}={token}", "Origin": f"http://desk.example:{port}"}
        assert (await api.post("{ me { id } }", None, "", **here)).json()["data"]["me"] is None
    assert (await api.post("{ me { id } }", None, token, **elsewhere)).json()["data"]["me"]
    for host in (f"localhost:{port}", f"127.0.0.2:{port}", f"[::1]:{port}"):
        assert "set-cookie" in (await api.post(LOGIN, variables, "", Host=host)).headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/graphql"), ("GET", "/graphql"), ("PUT", "/graphql"), ("GET", "/"), ("GET", "/no/such/page"),
        ("GET", "/assets/none.js"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/export/tickets.csv"),
        ("POST", "/"),
    ],
)  # fmt: skip
async def test_every_answer_carries_the_headers_that_bind_browsers(api: Api, method: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=api.url.removesuffix("/graphql")) as client:
        response = await client.request(method, path)
    policy = response.headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["script-src"], rules["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert "unsafe" not in rules["script-src"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "same-origin"
    assert "server" not in response.headers or response.headers["server"] == "uvicorn"  # tests serve by uvicorn itself
    if path == "/graphql":
        assert response.headers["cache-control"] == "no-store"
