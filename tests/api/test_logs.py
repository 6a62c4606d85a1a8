"""Logs: one event is one line, whatever a stranger puts into it."""

import json
import subprocess
import sys
from typing import Any

import pytest

TEXTS = {
    "CR LF": "a\r\n2026-01-01 admin signed in",
    "a forged event": 'x"}\n{"event": "forged", "level": "info"}',
    "ANSI": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "NUL": "a\x00b",
    "backspaces": "secret\b\b\b\b\b\bpublic",
    "C1": "a\x85b\x9b31mc",
    "separators": "a\u2028b\u2029c",
    "right to left": "\u202egnp.exe",
    "a lone surrogate": "a\ud800b",
    "a delete": "a\x7fb",
}
PROGRAM = """
import logging, sys, json
import structlog
from api import logs
logs.configure()
text = json.loads(sys.stdin.read())
structlog.get_logger("ours").warning("told", text=text, **{"key": text})
structlog.get_logger("ours").warning(text)
logging.getLogger("theirs").error("told %s", text)
logging.getLogger(text).error("told")
try:
    raise ValueError(text)
except ValueError:
    structlog.get_logger("ours").exception("failed")
    logging.getLogger("theirs").exception("failed")
"""


def logged(text: str) -> list[dict[str, Any]]:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(text).encode(), capture_output=True, check=True, timeout=60
    )
    assert said.stdout == b""
    lines = said.stderr.split(b"\n")
    assert lines.pop() == b""
    for line in lines:
        assert line.isascii(), line
        assert not any(byte < 0x20 or byte == 0x7F for byte in line), line
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", TEXTS)
def test_an_event_is_one_line_of_json_without_a_control_character(name: str) -> None:
    events = logged(TEXTS[name])
    assert [event["level"] for event in events] == ["warning", "warning", "error", "error", "error", "error"]
    assert events[0]["text"] == events[0]["key"] == events[1]["event"] == TEXTS[name]
    assert all(event["timestamp"].endswith("Z") for event in events)
    assert "forged" not in [event["event"] for event in events]
    assert "ValueError" in events[4]["exception"]
