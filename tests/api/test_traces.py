"""Traces: a collector gets the way of a request with its ticket, and nothing that anybody typed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api import traces
from api.settings import Settings, SettingsError
from tests.world import Api, serving_apart


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Take traces as a collector does; yield its address and what it was sent."""
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            taken.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()
        thread.join()


async def test_a_request_leaves_a_trace_with_its_statements_and_its_ticket(
    api: Api, settings: Settings, collector: tuple[str, list[bytes]]
) -> None:
    url, taken = collector
    trader = await api.trader(EUR="100")
    async with serving_apart(settings.model_copy(update={"otlp_endpoint": url})) as served:
        apart = Api(served.url, api.database_url)
        order = await apart.order(trader, "BUY", "1.23", "7")
        async with httpx.AsyncClient() as client:
            asked = await client.get(served.url, params={"query": '{ marketMaker(id: "typed-by-somebody") { id } }'})
            assert asked.status_code == 200
    spans = [
        span
        for body in taken
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    marked = [one for one in spans if any(pair.key == traces.TICKET for pair in one.attributes)]
    (attempt,) = marked
    assert {pair.value.string_value for pair in attempt.attributes if pair.key == traces.TICKET} == {order["ticketId"]}
    assert attempt.name == "POST /graphql"
    children = [one for one in spans if one.trace_id == attempt.trace_id and one is not attempt]
    assert children, "the statements of the request"
    assert not any(one.name.endswith(("/readyz", "/healthz")) for one in spans)
    everything = b"".join(taken)
    for typed in (trader.token, "typed-by-somebody", "1.23"):
        assert typed.encode() not in everything, typed


def test_without_the_packages_the_start_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .*pip install 'carbondesk\[otel\]'"):
        traces.traced(lambda *_: None, settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:1"}))  # type: ignore[arg-type]
