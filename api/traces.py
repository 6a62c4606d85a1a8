"""Traces by OpenTelemetry, where a collector is named: one for each request, with its statements and its tickets.

The packages are an extra (`pip install carbondesk[otel]`): nothing of them is imported otherwise. What a trace says
never holds a document, a variable or a value of a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from api.settings import Settings, SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

SERVICE: Final = "carbondesk"
TICKET: Final = "carbondesk.ticket_id"
PROBES: Final = "healthz,readyz,metrics"
ADDRESSES: Final = ("http.url", "http.target", "url.full", "url.query")  # a GET carries its document there

_mark: list[Callable[[str], None]] = []


def mark(ticket_id: str | None) -> None:
    """Put a ticket on the trace of the request that is being answered, if there is one."""
    for each in _mark:
        each(ticket_id or "none")


def traced(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return the application, with traces where they are wanted.

    Raises: SettingsError.
    """
    if settings.otlp_endpoint is None:
        return app
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: traces need packages that are not here: pip install 'carbondesk[otel]'"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    AsyncPGInstrumentor(capture_parameters=False).instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]

    def put(ticket_id: str) -> None:
        trace.get_current_span().set_attribute(TICKET, ticket_id)

    _mark[:] = [put]
    return OpenTelemetryMiddleware(
        app,
        tracer_provider=provider,
        server_request_hook=_forget_query,
        excluded_urls=PROBES,
        exclude_spans=["receive", "send"],
    )


def _forget_query(span: Any, scope: dict[str, Any]) -> None:
    """Leave the path of an address."""
    for name in ADDRESSES:
        if span.attributes and name in span.attributes:
            span.set_attribute(name, scope["path"] if name != "url.query" else "")
