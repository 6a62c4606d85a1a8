"""docs/analysts.md, question by question: its documents answer, its files are whole, its Python runs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from api.query import rows_in
from tests import history
from tests.api.test_query_exports import export
from tests.world import PASSWORD, Api

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "analysts.md").read_text(encoding="utf-8")
QUESTION = re.compile(r"^## (\d+)\. (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(graphql|python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\w+\.graphql)\n")
TRADES = 300
SECONDS_MAX = 90


@dataclass(frozen=True)
class Question:
    """A worked question: its title, its document and its Python."""

    title: str
    name: str
    document: str
    code: str
    commands: str


def questions() -> list[Question]:
    found = []
    for _, title, body in QUESTION.findall(TEXT):
        blocks = dict(BLOCK.findall(body))
        name = NAME.match(blocks["graphql"])
        assert name, title
        found.append(Question(title, name[1], blocks["graphql"], blocks["python"], blocks.get("sh", "")))
    return found


QUESTIONS = questions()


@pytest.fixture(scope="module")
async def values(api: Api) -> dict[str, Any]:
    """Write a history and some trading of today; return what the documents' variables and the Python's names are."""
    maker = await api.maker(name="Seller", CEA="1000")
    await api.sell(maker["id"], "25.50", "100")
    await api.sell(maker["id"], "26.00", "100")
    buyer = await api.trader(EUR="10000")
    await api.order(buyer, "BUY", "25.50", "40")
    await api.order(buyer, "BUY", "25.50", "4000000")  # refused
    (row,) = await api.sql("SELECT clock_timestamp() AS at")
    await api.order(buyer, "BUY", "25.50", "60")
    past = await history.write(api, TRADES, first=1_000)
    user = str(past.makers[0][1])
    return {
        "from": history.START.isoformat(), "to": history.END.isoformat(), "maker": maker["id"], "user": user,
        "at": row["at"].isoformat(),
    }  # fmt: skip


@pytest.fixture(scope="module")
async def analyst(api: Api) -> str:
    await api.ask(
        "mutation($i: CreateUserInput!) { createUser(input: $i) { errors { code } } }",
        i={"email": "analyst@desk.test", "name": "A", "role": "ANALYST", "password": PASSWORD},
    )
    return await api.login("analyst@desk.test")


def given(question: Question, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the variables that a document declares."""
    declared = set(re.findall(r"\$(\w+):", question.document))
    asset = {"asset": "CEA"} if "asset" in declared else {}
    wanted = declared if "$from: DateTime!" in question.document or "at" in declared else declared - {"from", "to"}
    return {name: value for name, value in values.items() if name in wanted} | asset


def test_there_are_twelve_questions_and_their_documents_are_valid() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    assert len(QUESTIONS) == 12
    for number, question in enumerate(QUESTIONS, start=1):
        assert validate(schema, parse(question.document)) == [], question.title
        assert question.name in question.code, "the Python asks the document"
        assert f"](#{number}-{anchor(question.title)})" in TEXT, question.title
        for line in question.commands.splitlines():
            assert line.startswith(f"carbondesk query {question.name} --variables "), line


def anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: one.name)
async def test_the_document_answers_and_its_list_is_a_file(
    api: Api, values: dict[str, Any], analyst: str, question: Question
) -> None:
    variables = given(question, values)
    answered = await api.ask(question.document, analyst, **variables)
    assert answered.errors == []
    rows, _ = rows_in(answered.data)
    assert rows, question.title
    if question.name == "book.graphql":  # an object, not a list
        return
    file = await export(api, "csv", question.document, analyst, **variables)
    assert file.status_code == 200, file.text
    cells = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert len(cells) == int(file.headers["x-row-count"]) >= len(rows)
    assert "x-has-next-page" not in file.headers


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: one.name)
async def test_the_python_runs(
    api: Api, values: dict[str, Any], analyst: str, question: Question, tmp_path: Path
) -> None:
    (tmp_path / question.name).write_text(question.document, encoding="utf-8")
    names = {
        "WINDOW": {"from": values["from"], "to": values["to"]},
        "MAKER": values["maker"], "USER": values["user"], "AT": values["at"],
    }  # fmt: skip
    program = "\n".join([*(f"{name} = {value!r}" for name, value in names.items()), question.code])
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error::FutureWarning", "-c", program],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT / "docs" / "examples"),
            "CARBONDESK_URL": api.url.removesuffix("/graphql"),
            "CARBONDESK_TOKEN": analyst,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout or kept(tmp_path), "an answer is printed or kept"


def kept(folder: Path) -> list[Path]:
    return list(folder.glob("*.csv"))


async def test_the_first_command_makes_a_spreadsheet(
    api: Api, values: dict[str, Any], analyst: str, tmp_path: Path
) -> None:
    """The figures of the spreadsheet are those of the history."""
    daily = QUESTIONS[0]
    (tmp_path / daily.name).write_text(daily.document, encoding="utf-8")
    window = {"from": values["from"], "to": values["to"]}
    (tmp_path / "march.json").write_text(json.dumps(window), encoding="utf-8")
    _, *words = daily.commands.split()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "api", *words, "--url", api.url],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CARBONDESK_TOKEN": analyst},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "daily.csv").read_text(encoding="utf-8").splitlines()))
    assert sum(int(row["count"]) for row in rows) == TRADES
    assert {row["from"][11:13] for row in rows} == {"23", "22"}, "Berlin's days, over the change to summer time"
