"""bandit finds nothing in what ships that nobody has explained.

A finding is explained where ruff's rule of the same number is silenced on the spot with its reason, by a rule of this
house for all files, or here.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FILES_MIN = 80
EVERYWHERE = {
    "B101": "assertions state invariants; input is never checked with them",
    "B404": "we start the servers and programs we ship",
    "B603": "always with argument lists, never through a shell",
}
HERE = {
    ("api/demo.py", "B105"): "a password that is wrong on purpose",
    ("db/seal.py", "B608"): "put together from texts of db/evidence.py; values are parameters",
    ("db/servers.py", "B105"): "an option of PostgreSQL that names a kind of password",
    ("db/verify_tree.py", "B608"): "put together from names of tables in the code; values are parameters",
}


def findings() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--format", "json", "api", "db", "domain"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["errors"] == []
    assert len(report["metrics"]) > FILES_MIN  # it has looked at our files at all
    results: list[dict[str, Any]] = report["results"]
    return results


def test_bandit_finds_nothing_unexplained() -> None:
    unexplained, used = [], set()
    for one in findings():
        rule, place = one["test_id"], one["filename"]
        lines = (ROOT / place).read_text(encoding="utf-8").splitlines()
        spot = lines[one["line_range"][0] - 1 : one["line_range"][-1]]
        if rule in EVERYWHERE or any(f"noqa: S{rule[1:]}" in line for line in spot):
            continue
        if (place, rule) in HERE:
            used.add((place, rule))
        else:
            unexplained.append(f"{place}:{one['line_number']} {rule} {one['issue_text']}")
    assert unexplained == []
    assert used == set(HERE), "an explanation of what is not there"
