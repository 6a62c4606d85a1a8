"""Logs as JSON lines on standard error: one line an event, control characters escaped, no local variables."""

import logging
import sys

import structlog


def configure(level: str = "warning") -> None:
    """Send structlog's and the standard library's events the same way, from a level on."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *render],  # type: ignore[list-item]  # structlog types its own processors too narrowly
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,  # type: ignore[arg-type]  # as above
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],  # type: ignore[list-item]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)  # of libraries: what they tell below is about themselves
