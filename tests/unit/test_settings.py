"""Settings: each variable, its default and its errors; upstream has a file of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import platformdirs
import pytest

from context7_fabric.errors import SettingError
from context7_fabric.models import VALUE_LIMIT
from context7_fabric.relay.folders import HOME
from context7_fabric.relay.handshake import _OUR_PATHS
from context7_fabric.settings import PASSED_ON, Settings, read_settings
from context7_fabric.settings.values import (
    DAY,
    ExecutionSettings,
    FreshnessSettings,
    StoreSettings,
    SuggestionSettings,
    UpstreamSettings,
    UrlTarget,
    WebSettings,
)
from context7_fabric.variables import PREFIX, VARIABLES


def settings(api_key: str | None = None, **variables: str) -> Settings:
    """The settings of an environment; the prefix is added to names of this program."""
    foreign = ("CONTEXT7_", "NODE_", "HTTPS_")
    environ = {
        name if name.startswith(foreign) else PREFIX + name: value
        for name, value in variables.items()
    }
    return read_settings(environ, api_key=api_key)


def refused(**variables: str) -> SettingError:
    with pytest.raises(SettingError) as raised:
        settings(**variables)
    return raised.value


class TestDefaults:
    def test_an_empty_environment_gives_every_default(self) -> None:
        assert settings() == Settings(
            home=platformdirs.user_data_path("context7-fabric"),
            cache_folder=platformdirs.user_cache_path("context7-fabric"),
            old_home=platformdirs.user_cache_path("context7-fabric"),
            upstream=UpstreamSettings(
                target=UrlTarget("https://mcp.context7.com/mcp"),
                api_key=None,
                origin="https://mcp.context7.com/mcp",
                child_environment={},
                extra_ca_file=None,
                timeout=55.0,
            ),
            freshness=FreshnessSettings(
                docs_fresh=3 * DAY,
                docs_stale=30 * DAY,
                stale_on_error=365 * DAY,
                library_ttl=None,
                patience=4.0,
                negative_ttl=600.0,
            ),
            executions=ExecutionSettings(keep=7 * DAY, most=10_000),
            store=StoreSettings(backend="disk", value_limit=VALUE_LIMIT),
            principal=None,
            seed_file=None,
            suggestions=SuggestionSettings(
                model_folder=platformdirs.user_cache_path("context7-fabric") / "models",
                model="sentence-transformers/all-MiniLM-L6-v2",
                model_path=None,
                qdrant_url=None,
                qdrant_api_key=None,
                enabled=True,
                fetches=True,
            ),
            redact=True,
            monthly_calls=1000,
            log_level="warning",
            web=WebSettings(
                host="127.0.0.1",
                tokens_file=platformdirs.user_data_path("context7-fabric") / "tokens",
                wants_tokens=False,
                hosts=None,
                origins=None,
                rate=600,
                certificate=None,
                certificate_key=None,
                proxies=(),
            ),
        )

    @pytest.mark.parametrize("blank", ["", "  ", "\n"])
    def test_a_blank_value_counts_as_not_set(self, blank: str) -> None:
        names = "HOME UPSTREAM BACKEND VALUE_LIMIT PRINCIPAL SEED LOG_LEVEL HOST PATIENCE REDACT"
        names += " MONTHLY_CALLS MODEL MODEL_PATH QDRANT_URL QDRANT_API_KEY LIBRARY_TTL"
        foreign = "CONTEXT7_API_KEY CONTEXT7_API_URL NODE_EXTRA_CA_CERTS"
        given = settings(**dict.fromkeys(f"{names} {foreign}".split(), blank))
        without = dataclasses.replace(given.upstream, child_environment={})
        assert dataclasses.replace(given, upstream=without) == settings()

    def test_settings_are_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings().log_level = "debug"  # type: ignore[misc]


class TestVariables:
    def test_relay_resolves_every_path_of_the_declaration(self) -> None:
        paths = {
            PREFIX + name for name, (kind, *_) in VARIABLES.items() if kind in ("path", "project")
        }
        assert paths == {HOME, *_OUR_PATHS}

    def test_path_that_begins_with_a_tilde_is_expanded(self) -> None:
        given = settings(HOME="~/fabric", SEED="/etc/seeds.yaml")
        assert (given.home, given.seed_file) == (Path.home() / "fabric", Path("/etc/seeds.yaml"))

    def test_home_that_is_set_holds_the_cache_as_well(self, tmp_path: Path) -> None:
        given = settings(HOME=str(tmp_path))
        assert (given.home, given.cache_folder, given.old_home) == (tmp_path, tmp_path, None)
        assert given.suggestions.model_folder == tmp_path / "models"

    @pytest.mark.parametrize(
        ("variable", "field"),
        [
            ("DOCS_FRESH", "docs_fresh"),
            ("DOCS_STALE", "docs_stale"),
            ("STALE_ON_ERROR", "stale_on_error"),
            ("LIBRARY_TTL", "library_ttl"),
            ("PATIENCE", "patience"),
            ("NEGATIVE_TTL", "negative_ttl"),
        ],
    )
    def test_duration_is_read_into_its_field(self, variable: str, field: str) -> None:
        expected = dataclasses.replace(FreshnessSettings(), **{field: 90.0})
        assert settings(**{variable: "90s"}).freshness == expected

    def test_upstream_timeout_is_read(self) -> None:
        assert settings(UPSTREAM_TIMEOUT="5s").upstream.timeout == 5.0

    def test_other_variables_are_read_into_their_fields(self) -> None:
        given = settings(
            BACKEND="Memory",
            PRINCIPAL=" me ",
            REDACT="off",
            MONTHLY_CALLS="50",
            LOG_LEVEL="DEBUG",
            HOST="::1",
        )
        assert given.store.backend == "memory"
        assert not given.redact
        assert (given.principal, given.monthly_calls) == ("me", 50)
        assert (given.log_level, given.web.host) == ("debug", "::1")

    def test_http_server_variables_are_read_into_web_settings(self, tmp_path: Path) -> None:
        given = settings(
            HOST="docs.example",
            TOKENS_FILE=str(tmp_path / "t"),
            HOSTS="Docs.example, 10.0.0.1",
            RATE="60",
            TLS_CERT="c.pem",
            TLS_KEY="k.pem",
            PROXIES="10.0.0.0/8, ::1",
        ).web
        assert given == WebSettings(
            host="docs.example",
            tokens_file=tmp_path / "t",
            wants_tokens=True,
            hosts=frozenset({"docs.example", "10.0.0.1"}),
            rate=60,
            certificate=Path("c.pem"),
            certificate_key=Path("k.pem"),
            proxies=("10.0.0.0/8", "::1"),
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("HOST", "http://x"),
            ("HOSTS", "a b"),
            ("PROXIES", "proxy"),
            ("PROXIES", "10.0.0.0/99"),
            ("RATE", "many"),
        ],
    )
    def test_http_server_place_that_is_invalid_is_refused(self, name: str, value: str) -> None:
        assert refused(**{name: value}).variable == PREFIX + name

    @pytest.mark.parametrize(("given", "missing"), [("TLS_CERT", "KEY"), ("TLS_KEY", "CERT")])
    def test_certificate_without_its_key_is_refused(self, given: str, missing: str) -> None:
        assert refused(**{given: "file.pem"}).variable == f"{PREFIX}TLS_{missing}"

    def test_suggestion_variables_are_read_and_keys_are_not_shown(self, tmp_path: Path) -> None:
        given = settings(
            HOME=str(tmp_path),
            MODEL="a/model",
            MODEL_PATH=str(tmp_path / "files"),
            QDRANT_URL="http://me:S3CR3T@127.0.0.1:6333",
            QDRANT_API_KEY="S3CR3T",
        )
        assert given.suggestions == SuggestionSettings(
            model_folder=tmp_path / "models",
            model="a/model",
            model_path=tmp_path / "files",
            qdrant_url="http://me:S3CR3T@127.0.0.1:6333",
            qdrant_api_key="S3CR3T",
        )
        assert "S3CR3T" not in repr(given)

    def test_relative_path_is_relative_to_the_working_directory(self) -> None:
        given = settings(MODEL_PATH="files")
        assert given.suggestions.model_path == Path.cwd() / "files"

    def test_monthly_calls_without_a_key_default_to_the_free_plan(self) -> None:
        assert settings(CONTEXT7_API_KEY="mine").monthly_calls is None
        assert settings(CONTEXT7_API_KEY="mine", MONTHLY_CALLS="50").monthly_calls == 50
        assert settings(MONTHLY_CALLS="0").monthly_calls == 0

    def test_extra_ca_file_is_read(self) -> None:
        given = settings(NODE_EXTRA_CA_CERTS="/etc/ca.pem").upstream
        assert given.extra_ca_file == Path("/etc/ca.pem")

    def test_child_environment_holds_only_the_listed_variables(self) -> None:
        environ = {name: f"value of {name}" for name in PASSED_ON}
        environ |= {"CONTEXT7_API_KEY": "mine", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/me"}
        given = read_settings({**environ, "CONTEXT7_FABRIC_PRINCIPAL": "me"}).upstream
        assert given.child_environment == {name: f"value of {name}" for name in PASSED_ON}

    @pytest.mark.parametrize(
        ("variable", "value", "expected"),
        [
            ("DOCS_FRESH", "3", "a duration such as 90s, 10m, 6h or 1d"),
            ("DOCS_STALE", "never", "a duration such as 90s, 10m, 6h or 1d"),
            ("STALE_ON_ERROR", "-1d", "a duration such as 90s, 10m, 6h or 1d"),
            ("LIBRARY_TTL", "1 d", "a duration such as 90s, 10m, 6h or 1d"),
            ("PATIENCE", "4", "a duration such as 90s, 10m, 6h or 1d"),
            ("NEGATIVE_TTL", "x", "a duration such as 90s, 10m, 6h or 1d"),
            ("UPSTREAM_TIMEOUT", "55", "a duration such as 90s, 10m, 6h or 1d"),
            ("BACKEND", "redis", "one of disk, memory, a redis:// URL"),
            ("VALUE_LIMIT", "4M", "a whole number"),
            ("EXECUTIONS_KEEP", "7", "a duration such as 90s, 10m, 6h or 1d"),
            ("EXECUTIONS_MOST", "many", "a whole number"),
            ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
            ("REDACT", "maybe", "one of on, off"),
            ("MONTHLY_CALLS", "-1", "a whole number"),
            ("MONTHLY_CALLS", "\u0661", "a whole number"),
            ("MONTHLY_CALLS", "9" * 5000, "a whole number"),
            ("HOST", "a b", "an address or the name of a host"),
            ("UPSTREAM", "ftp://host/x", "an http(s) URL, a command line or off"),
        ],
    )
    def test_value_that_is_invalid_is_reported_with_its_variable(
        self, variable: str, value: str, expected: str
    ) -> None:
        error = refused(**{variable: value})
        assert str(error) == f"{PREFIX}{variable}: {value!r} is not {expected}"
        assert (error.variable, error.value) == (PREFIX + variable, value)

    def test_home_of_an_unknown_user_is_reported_with_its_variable(self) -> None:
        assert str(refused(HOME="~unknown-user-name/x")).startswith(f"{PREFIX}HOME: ")


class TestRedisAsBackend:
    @pytest.mark.parametrize(
        "url",
        ["redis://localhost", "rediss://:secret@cache.example:6380/1", "unix:///run/redis.sock"],
    )
    def test_redis_url_is_accepted_and_shown_without_its_password(self, url: str) -> None:
        store = settings(BACKEND=url).store
        assert store.backend == url
        assert "secret" not in store.label

    @pytest.mark.parametrize("url", ["redis://:secret@host:port", "redis://host/one", "unix://"])
    def test_redis_url_that_is_invalid_is_reported_without_its_password(self, url: str) -> None:
        text = str(refused(BACKEND=url))
        assert text.startswith("CONTEXT7_FABRIC_BACKEND: '…' is not usable: ")
        assert "secret" not in text


class TestOrigins:
    @pytest.mark.parametrize(
        ("written", "origins"),
        [
            ("https://app.example", {"https://app.example"}),
            (" https://A.example/ , http://b:81,", {"https://a.example", "http://b:81"}),
            ("vscode-webview://panel", {"vscode-webview://panel"}),
            ("http://[::1]:3000", {"http://[::1]:3000"}),
        ],
    )
    def test_origins_are_normalised(self, written: str, origins: set[str]) -> None:
        assert settings(ORIGINS=written).web.origins == frozenset(origins)

    @pytest.mark.parametrize("written", ["app.example", "https://", "*", "https://a/b", "null"])
    def test_origin_that_is_invalid_is_refused(self, written: str) -> None:
        with pytest.raises(SettingError, match="CONTEXT7_FABRIC_ORIGINS"):
            settings(ORIGINS=written)
