"""The commands of an auditor against the whole running program: sealed, proved, and checked without it."""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from api import audit
from domain.notes import PublicKey
from domain.seals import PROOF_FORMAT
from tests.api.test_cli import ROOT, carbondesk, running, until


def login(home: Path, port: int) -> str:
    """Sign in as the admin; return the ticket."""
    [admin] = json.loads((home / "logins.json").read_text(encoding="utf-8"))
    document = "mutation($i: LoginInput!) { login(input: $i) { ticketId } }"
    asked = {"query": document, "variables": {"i": {"email": admin["email"], "password": admin["password"]}}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own
        ticket_id: str = json.load(answer)["data"]["login"]["ticketId"]
    return ticket_id


def ready(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:  # our own
        found: dict[str, Any] = json.load(answer)
    return found


def sealer_of(process: "subprocess.Popen[str]") -> psutil.Process:
    [sealer] = [child for child in psutil.Process(process.pid).children() if "seal" in child.cmdline()]
    return sealer


def offline(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with an empty environment: no home, no settings, no servers."""
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def lines_outside(home: Path) -> Iterator[str]:
    for path in sorted((home / "checkpoints").glob("*.jsonl")):
        yield from path.read_text(encoding="utf-8").splitlines()


def test_a_ticket_is_sealed_proved_and_checked_without_the_market(home: Path, port: int, tmp_path: Path) -> None:
    bundle, other = tmp_path / "proof.json", tmp_path / "other.json"
    with running(home, port) as (process, _):
        ticket_id = login(home, port)
        until(lambda: ready(port)["sealLagSeconds"] == 0)
        until(lambda: carbondesk("proof", ticket_id, "-o", str(bundle), home=home, port=port).returncode == 0)
        shown = carbondesk("proof", ticket_id, "--with-payload", home=home, port=port)
        other.write_text(shown.stdout, encoding="utf-8")
        missing = carbondesk("proof", "TKT-2026-900000", home=home, port=port)
        assert (missing.returncode, "there is no ticket" in missing.stderr) == (1, True)

        dry = carbondesk("retention", "--older-than", "400d", "--dry-run", home=home, port=port)
        assert (dry.returncode, "0 payloads of sealed tickets are older than" in dry.stdout) == (0, True), dry.stderr
        young = carbondesk("retention", "--older-than", "3d", home=home, port=port)
        assert (young.returncode, "at least 30 days" in young.stderr) == (1, True)

        sealer_of(process).kill()  # the supervisor starts it again, and it goes on where it was
        later = login(home, port)
        until(lambda: carbondesk("proof", later, home=home, port=port).returncode == 0)
        verified = carbondesk("verify", home=home, port=port)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "leaves sealed by carbondesk/" in verified.stdout
        key = (home / "checkpoints" / "public.key").read_text(encoding="ascii")
        kept = tmp_path / "kept"
        shutil.copytree(home / "checkpoints", kept)
        last = login(home, port)
    # Stopped: what was done until the end is sealed, and nothing of the market is needed any more.
    proof = json.loads(bundle.read_text(encoding="utf-8"))
    assert (proof["format"], proof["ticket"]["ticket_id"], "payload" in proof) == (PROOF_FORMAT, ticket_id, False)
    assert proof["publicKey"] == key.strip() == str(PublicKey.parse(key))
    for path, payload in ((bundle, "bound"), (other, "shown")):
        done = offline("verify-proof", str(path), "--key", key.strip())
        assert (done.returncode, done.stderr) == (0, "")
        assert f"ok      {ticket_id}" in done.stdout
        assert f"payload {payload}" in done.stdout
    assert "taken from the file itself" in offline("verify-proof", str(bundle)).stdout
    assert_forgeries_are_found(bundle, other, key, tmp_path / "forged.json")

    with running(home, port):
        found = carbondesk("proof", last, home=home, port=port)
        assert found.returncode == 0, found.stderr
        copied = carbondesk("verify", "--checkpoints", str(kept), "--public-key", key.strip(), home=home, port=port)
        assert copied.returncode == 0, copied.stdout
        (file,) = kept.glob("*.jsonl")
        file.write_text(file.read_text(encoding="utf-8").replace("\\n\\n", "x\\n\\n", 1), encoding="utf-8")
        broken = carbondesk("verify", "--checkpoints", str(kept), home=home, port=port)
        assert (broken.returncode, "BROKEN  outside" in broken.stdout) == (1, True)
        nowhere = carbondesk("verify", "--checkpoints", str(tmp_path / "nowhere"), home=home, port=port)
        assert (nowhere.returncode, "there is no folder" in nowhere.stderr) == (2, True)
    assert len(list(lines_outside(home))) >= 3
    gone = carbondesk("reset", "--yes", home=home, port=port)
    assert gone.returncode == 0
    assert not (home / "checkpoints").exists()


def assert_forgeries_are_found(bundle: Path, other: Path, key: str, forged: Path) -> None:
    """Change one thing of a proof after another."""
    for path, field, said in (
        (bundle, "ticket", "the digest is not that of the ticket"), (bundle, "effects", "the rows that name"),
        (bundle, "leafIndex", "the path does not lead"), (bundle, "treeSize", "the checkpoint is of a tree of"),
        (bundle, "path", "the path does not lead"), (bundle, "digest", "the digest is not that"),
        (bundle, "leafHash", "the leaf is not that"), (bundle, "checkpoint", "is not signed by the key"),
        (other, "payload", "the payload is not the one"),
    ):  # fmt: skip
        proof = json.loads(path.read_text(encoding="utf-8"))
        value = proof[field]
        if isinstance(value, dict):
            value["response" if field == "payload" else "summary"] = "x"
        elif isinstance(value, list):
            proof[field] = [*value, "00" * 32]
        elif isinstance(value, int):
            proof[field] = value + 1
        else:
            proof[field] = value.replace("\n", "0\n", 2) if field == "checkpoint" else "00" * 32
        forged.write_text(json.dumps(proof), encoding="utf-8")
        heard: list[str] = []
        assert not audit.check_proof(forged, key.strip(), heard.append), field
        assert said in heard[0], (field, heard)
    done = offline("verify-proof", str(forged), "--key", key.strip())
    assert (done.returncode, "BROKEN" in done.stdout) == (1, True)
    for text in ("", "[]", "{}", '{"format": "x"}', "[" * 100_000, json.dumps(proof | {"path": 3})):
        forged.write_text(text, encoding="utf-8")
        with pytest.raises(audit.AuditRefused):
            audit.check_proof(forged, None, heard.append)
    done = offline("verify-proof", str(forged))
    assert (done.returncode, "is no proof" in done.stderr) == (2, True)
