"""Documentation: what is written from the code is as the code, what is linked exists, what is named exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api import metrics, reference
from api.settings import variables

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
METRIC = re.compile(r"\bcarbondesk_[a-z_]+\b")
SUFFIXES = ("_bucket", "_sum", "_count")


def test_what_is_written_from_the_code_is_as_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for path, text in reference.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run `make schema`"


def test_every_variable_in_the_readme_is_one_that_is_read() -> None:
    known = {name for name, _ in variables()} | {"FLOW"}
    table = re.search(r"^\| variable \|.*?(?=^\n)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert table
    cells = [row.split("|")[1] for row in table[0].splitlines()[2:]]
    assert {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)} <= known


def slug(heading: str) -> str:
    """Name a heading as GitHub and the site do."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def test_the_site_has_every_page() -> None:
    listed: set[str] = set()

    def collect(part: Any) -> None:
        if isinstance(part, str):
            listed.add(part)
        else:
            for value in part.values() if isinstance(part, dict) else part:
                collect(value)

    collect(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")}


# -------------------------------------------------------------------------------------------------------------- metrics


def known_metrics() -> set[str]:
    found = set()
    for name, kind, _ in metrics.described():
        found |= {f"{name}{suffix}" for suffix in SUFFIXES} if kind == "histogram" else {name}
    return found


def expressions(value: Any) -> list[str]:
    """Collect every query of a dashboard."""
    if isinstance(value, dict):
        return [one for name, part in value.items() for one in ([part] if name == "expr" else expressions(part))]
    return [one for part in value for one in expressions(part)] if isinstance(value, list) else []


def test_every_metric_of_the_grafana_dashboard_and_of_the_alerts_exists() -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "carbondesk.json").read_text())
    alerts = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
    shown, alarmed = expressions(dashboard), expressions(alerts)
    assert len(shown) > 25 and len(alarmed) == len(alerts["groups"][0]["rules"]) == 11
    for query in (*shown, *alarmed):
        assert query.count("(") == query.count(")") and query.count("{") == query.count("}"), query
        named = set(METRIC.findall(query))
        assert named <= known_metrics(), f"{query}: {named - known_metrics()}"
    text = (ROOT / "docs" / "operations.md").read_text()
    assert set(METRIC.findall(text)) - {"carbondesk_app"} <= known_metrics() | {
        name for name, _, _ in metrics.described()
    }


def test_the_dashboard_shows_every_metric_that_is_ours() -> None:
    queries = " ".join(expressions(json.loads((ROOT / "deploy" / "grafana" / "carbondesk.json").read_text())))
    unseen = {
        name
        for name, _, _ in metrics.described()
        if name not in queries and not name.startswith("carbondesk_process_") and "max_connections" not in name
    }
    assert unseen == set()


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((ROOT / "deploy" / "grafana" / "carbondesk.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
