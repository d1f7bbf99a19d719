"""Settings: each variable, its default, and what is refused; upstream has a file of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import platformdirs
import pytest

from context7_fabric.errors import SettingError
from context7_fabric.settings import (
    FREE_CALLS,
    PASSED_ON,
    Settings,
    read_settings,
)
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

PREFIX = "CONTEXT7_FABRIC_"


def settings(api_key: str | None = None, **variables: str) -> Settings:
    """The settings of an environment; names without their prefix, but for Context7's own."""
    foreign = ("CONTEXT7_", "NODE_", "HTTPS_")
    environ = {
        name if name.startswith(foreign) else PREFIX + name: value
        for name, value in variables.items()
    }
    return read_settings(environ, api_key=api_key)


def refused(**variables: str) -> SettingError:
    with pytest.raises(SettingError) as told:
        settings(**variables)
    return told.value


class TestDefaults:
    def test_an_empty_environment_gives_every_default(self) -> None:
        assert settings() == Settings(
            home=platformdirs.user_cache_path("context7-fabric"),
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
            store=StoreSettings(backend="disk", value_limit=4 * 2**20),
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
            monthly_calls=FREE_CALLS,
            log_level="warning",
            web=WebSettings(
                host="127.0.0.1",
                tokens_file=platformdirs.user_cache_path("context7-fabric") / "tokens",
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

    def test_nothing_of_the_tree_can_be_changed(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings().log_level = "debug"  # type: ignore[misc]


class TestVariables:
    def test_paths_begin_at_home_or_anywhere(self) -> None:
        given = settings(HOME="~/fabric", SEED="/etc/seeds.yaml")
        assert (given.home, given.seed_file) == (Path.home() / "fabric", Path("/etc/seeds.yaml"))

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
    def test_each_duration_goes_to_its_place(self, variable: str, field: str) -> None:
        expected = dataclasses.replace(FreshnessSettings(), **{field: 90.0})
        assert settings(**{variable: "90s"}).freshness == expected

    def test_upstream_has_a_time_out(self) -> None:
        assert settings(UPSTREAM_TIMEOUT="5s").upstream.timeout == 5.0

    def test_the_other_variables_go_to_their_places(self) -> None:
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

    def test_the_http_server_has_a_place_names_tokens_a_rate_and_certificates(
        self, tmp_path: Path
    ) -> None:
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
            ("PROXIES", "nobody"),
            ("PROXIES", "10.0.0.0/99"),
            ("RATE", "many"),
        ],
    )
    def test_what_is_no_place_is_refused_by_name(self, name: str, value: str) -> None:
        assert refused(**{name: value}).variable == PREFIX + name

    @pytest.mark.parametrize(("given", "missing"), [("TLS_CERT", "KEY"), ("TLS_KEY", "CERT")])
    def test_a_certificate_goes_with_its_key(self, given: str, missing: str) -> None:
        assert refused(**{given: "file.pem"}).variable == f"{PREFIX}TLS_{missing}"

    def test_suggestions_have_a_model_and_an_index(self, tmp_path: Path) -> None:
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

    def test_a_relative_path_begins_where_the_process_is(self) -> None:
        given = settings(MODEL_PATH="files")
        assert given.suggestions.model_path == Path.cwd() / "files"

    def test_only_the_free_plan_has_a_known_number_of_calls(self) -> None:
        assert settings(CONTEXT7_API_KEY="mine").monthly_calls is None
        assert settings(CONTEXT7_API_KEY="mine", MONTHLY_CALLS="50").monthly_calls == 50
        assert settings(MONTHLY_CALLS="0").monthly_calls == 0

    def test_more_authorities_may_be_trusted(self) -> None:
        given = settings(NODE_EXTRA_CA_CERTS="/etc/ca.pem").upstream
        assert given.extra_ca_file == Path("/etc/ca.pem")

    def test_a_child_gets_what_it_needs_of_the_environment_and_no_more(self) -> None:
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
    def test_a_bad_value_is_told_with_its_variable(
        self, variable: str, value: str, expected: str
    ) -> None:
        error = refused(**{variable: value})
        assert str(error) == f"{PREFIX}{variable}: {value!r} is not {expected}"
        assert (error.variable, error.value) == (PREFIX + variable, value)

    def test_a_home_of_nobody_is_told_with_its_variable(self) -> None:
        assert str(refused(HOME="~nobody-of-that-name/x")).startswith(f"{PREFIX}HOME: ")


class TestRedisAsBackend:
    @pytest.mark.parametrize(
        "url",
        ["redis://localhost", "rediss://:secret@cache.example:6380/1", "unix:///run/redis.sock"],
    )
    def test_a_url_of_redis_is_taken_and_shown_without_its_password(self, url: str) -> None:
        store = settings(BACKEND=url).store
        assert store.backend == url
        assert "secret" not in store.label

    @pytest.mark.parametrize("url", ["redis://:secret@host:port", "redis://host/one", "unix://"])
    def test_a_url_that_cannot_be_used_is_told_without_showing_it(self, url: str) -> None:
        told = str(refused(BACKEND=url))
        assert told.startswith("CONTEXT7_FABRIC_BACKEND: '…' is not usable: ")
        assert "secret" not in told


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
    def test_origins_are_read_as_browsers_write_them(self, written: str, origins: set[str]) -> None:
        assert settings(ORIGINS=written).web.origins == frozenset(origins)

    @pytest.mark.parametrize("written", ["app.example", "https://", "*", "https://a/b", "null"])
    def test_what_is_no_origin_is_refused(self, written: str) -> None:
        with pytest.raises(SettingError, match="CONTEXT7_FABRIC_ORIGINS"):
            settings(ORIGINS=written)
