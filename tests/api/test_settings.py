"""Settings: every variable is documented, a wrong value is one line with its name, and secrets may come from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from api import settings
from api.settings import SettingsError, load, variables

URL = "postgresql://desk:hidden@db.example/desk"
WRONG = {
    "CARBONDESK_ENV": "staging",
    "HOST": None,  # any text may be a host; the start says whether it is one
    "PORT": "0",
    "DATABASE_URL": "mysql://u:hidden@h/d",
    "DATABASE_APP_URL": "hidden",
    "DATABASE_REPLICA_URL": "hidden",
    "DATABASE_SEALER_URL": "hidden",
    "DATABASE_RETENTION_URL": "hidden",
    "REDIS_URL": "http://hidden",
    "TRUSTED_PROXIES": "proxy.hidden",
    "ALLOWED_HOSTS": None,
    "SESSION_REQUESTS_PER_S": "0",
    "ADDRESS_REQUESTS_PER_S": "-1",
    "DEMO": "perhaps",
    "SOCKET_SUBSCRIPTIONS_MAX": "0",
    "SESSION_SOCKETS_MAX": "many",
    "ADDRESS_SOCKETS_MAX": "1.5",
    "READERS": "-1",
    "DRAIN_S": "nan",
    "METRICS_TOKEN": "hidden",
    "LOG_LEVEL": "loud",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "hidden",
    "CARBONDESK_HOME": None,
}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in variables():
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def test_every_variable_says_what_it_means_and_has_a_wrong_value_here() -> None:
    found = dict(variables())
    assert set(found) == set(WRONG)
    for name, field in found.items():
        assert field.description and field.description.endswith("."), name


@pytest.mark.parametrize("name", [name for name, wrong in WRONG.items() if wrong is not None])
def test_a_wrong_value_is_refused_by_its_name_and_never_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, str(WRONG[name]))
    with pytest.raises(SettingsError) as refused:
        load()
    said = str(refused.value)
    assert said.startswith(f"{name}: ")
    assert "hidden" not in said and "\n" not in said


def test_several_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("DRAIN_S", "61")
    with pytest.raises(SettingsError) as refused:
        load()
    assert {part.split(":")[0] for part in str(refused.value).split("; ")} == {"PORT", "DRAIN_S"}


SECRETS = ("DATABASE_URL", "DATABASE_APP_URL", "DATABASE_SEALER_URL", "DATABASE_RETENTION_URL", "DATABASE_REPLICA_URL",
           "REDIS_URL", "METRICS_TOKEN")  # fmt: skip


def test_these_are_the_secrets() -> None:
    assert {name for name, field in variables() if settings.is_secret(field)} == set(SECRETS)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_comes_from_a_file_and_is_not_shown(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = {"REDIS_URL": "redis://:hidden@h/0", "METRICS_TOKEN": "hidden" * 5}.get(name, URL)
    (tmp_path / "secret").write_text(f"{text}\n")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    read = load()
    assert getattr(read, name.lower()) == text
    assert "hidden" not in repr(read)


def test_a_file_is_read_for_secrets_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "port").write_text("9000")
    monkeypatch.setenv("PORT_FILE", str(tmp_path / "port"))
    assert load().port == 8000


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, said in ((None, "cannot be read: No such file or directory"), (b"\n", "is empty"),
                          (b"\xff\xfe", "cannot be read: it is no text")):  # fmt: skip
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setenv("DATABASE_URL_FILE", str(path))
        with pytest.raises(SettingsError) as refused:
            load()
        assert str(refused.value) == f"DATABASE_URL_FILE: {path} {said}"


def test_a_secret_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(URL)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("DATABASE_URL", URL)
    with pytest.raises(SettingsError) as refused:
        load()
    assert str(refused.value) == "DATABASE_URL and DATABASE_URL_FILE are both set: keep one of them"
