"""Settings of upstream: target, origin and key; no key is ever shown."""

from __future__ import annotations

import pytest

from context7_fabric.errors import SettingError
from context7_fabric.settings import Settings, read_settings
from context7_fabric.settings.values import (
    DEFAULT_UPSTREAM,
    CommandTarget,
    OffTarget,
    UpstreamSettings,
    UrlTarget,
)
from context7_fabric.variables import PREFIX

KEY = "ctx7sk-S3CR3T"


def settings(api_key: str | None = None, **variables: str) -> Settings:
    """The settings of an environment; the prefix is added to names of this program."""
    foreign = ("CONTEXT7_", "NODE_", "HTTPS_")
    environ = {
        name if name.startswith(foreign) else PREFIX + name: value
        for name, value in variables.items()
    }
    return read_settings(environ, api_key=api_key)


def upstream(text: str, **variables: str) -> UpstreamSettings:
    return settings(UPSTREAM=text, **variables).upstream


def refused(**variables: str) -> SettingError:
    with pytest.raises(SettingError) as raised:
        settings(**variables)
    return raised.value


class TestUpstream:
    @pytest.mark.parametrize("text", ["off", "OFF", " Off "])
    def test_upstream_off_has_the_off_target(self, text: str) -> None:
        assert upstream(text).target == OffTarget()
        assert upstream(text).target.label == "off"

    @pytest.mark.parametrize(
        "url", ["https://example.com/mcp", "HTTP://127.0.0.1:3000/mcp", "http://[::1]:3000/mcp"]
    )
    def test_a_url_is_an_mcp_server(self, url: str) -> None:
        assert upstream(url).target == UrlTarget(url)

    @pytest.mark.parametrize(
        ("text", "command"),
        [
            ("context7-mcp", ("context7-mcp",)),
            ("npx -y '@upstash/context7-mcp'", ("npx", "-y", "@upstash/context7-mcp")),
            ('"/opt/my tools/serve" --name "a b"', ("/opt/my tools/serve", "--name", "a b")),
            ("npx mcp-remote https://example.com/mcp", None),
            ("env CONTEXT7_API_URL=http://127.0.0.1:1/api npx x", None),
        ],
    )
    def test_anything_else_is_a_command_line(
        self, text: str, command: tuple[str, ...] | None
    ) -> None:
        assert upstream(text).target == CommandTarget(command or tuple(text.split()))

    def test_another_api_is_asked_through_context7s_own_server(self) -> None:
        given = settings(CONTEXT7_API_URL="https://context7.example.com/api").upstream
        assert given.target == CommandTarget(("npx", "-y", "@upstash/context7-mcp"))
        assert given.child_environment == {"CONTEXT7_API_URL": "https://context7.example.com/api"}

    @pytest.mark.parametrize(
        ("url", "api_url"),
        [
            ("https://example.com/mcp", "https://example.com/api"),
            ("https://EXAMPLE.com/mcp", "http://example.COM:8080/api"),
            ("http://127.0.0.1:3000/mcp", "http://localhost:8080/api"),
            ("http://localhost:3000/mcp", "http://[::1]:8080/api"),
            ("http://[::1]/mcp", "http://127.0.0.1/api"),
        ],
    )
    def test_a_url_and_another_api_go_together_on_one_host(self, url: str, api_url: str) -> None:
        assert upstream(url, CONTEXT7_API_URL=api_url).target == UrlTarget(url)

    @pytest.mark.parametrize(
        ("url", "api_url"),
        [
            ("https://mcp.context7.com/mcp", "https://example.com/api"),
            ("https://example.com/mcp", "http://127.0.0.1/api"),
            ("http://127.0.0.1/mcp", "https://example.com/api"),
            ("http://127.0.0.1/mcp", "no url"),
            ("http://127.0.0.1/mcp", "http://127.0.0.1:port/api"),
        ],
    )
    def test_a_url_elsewhere_than_the_api_is_refused(self, url: str, api_url: str) -> None:
        error = refused(UPSTREAM=url, CONTEXT7_API_URL=api_url)
        assert "CONTEXT7_API_URL" in str(error)
        assert "unset one of the two" in str(error)

    @pytest.mark.parametrize(
        "text",
        [
            "https://",
            "https:///mcp",
            "http://host:port/mcp",
            "http://[::1/mcp",
            "ws://host/mcp",
            "https://host/mcp --api-key x",
            "npx 'unclosed",
            "'' argument",
            "CONTEXT7_API_KEY=x npx",
        ],
    )
    def test_what_can_be_neither_is_refused(self, text: str) -> None:
        assert refused(UPSTREAM=text).variable == f"{PREFIX}UPSTREAM"

    @pytest.mark.parametrize(
        ("text", "api_url", "origin"),
        [
            ("", "", DEFAULT_UPSTREAM),
            ("off", "", DEFAULT_UPSTREAM),
            ("npx -y x", "", DEFAULT_UPSTREAM),
            ("https://me:pw@example.com/mcp?k=1", "", "https://example.com/mcp"),
            ("", "https://me:pw@example.com:8080/api?k=1#x", "https://example.com:8080/api"),
            ("npx -y x", "https://example.com/api", "https://example.com/api"),
            ("http://localhost:1/mcp", "http://127.0.0.1:2/api", "http://127.0.0.1:2/api"),
            ("", "no url", "…"),
        ],
    )
    def test_origin_differs_between_installations(
        self, text: str, api_url: str, origin: str
    ) -> None:
        assert upstream(text, CONTEXT7_API_URL=api_url).origin == origin


class TestKeys:
    def test_the_command_lines_key_goes_before_the_environments(self) -> None:
        assert settings("mine", CONTEXT7_API_KEY="theirs").upstream.api_key == "mine"
        assert settings(CONTEXT7_API_KEY=" theirs ").upstream.api_key == "theirs"
        assert settings("", CONTEXT7_API_KEY="theirs").upstream.api_key == "theirs"
        assert settings().upstream.api_key is None

    @pytest.mark.parametrize(
        "written",
        [
            f"Bearer {KEY}",
            f"bearer\t{KEY}\n",
            f'"{KEY}"',
            f"'Bearer {KEY}'",
            f"\ufeff{KEY}\r\n",
            f"Bearer '{KEY}'",
        ],
        ids=ascii,
    )
    def test_a_key_with_something_copied_along_is_the_bare_key(self, written: str) -> None:
        assert settings(CONTEXT7_API_KEY=written).upstream.api_key == KEY
        assert settings(written).upstream.api_key == KEY

    @pytest.mark.parametrize("written", ["Bearer ", "Bearer", "''", '" "', "bearer\t\n", "\r\n"])
    def test_key_without_characters_is_none(self, written: str) -> None:
        assert settings(CONTEXT7_API_KEY=written).upstream.api_key is None

    def test_a_key_goes_before_one_inside_of_the_target(self) -> None:
        given = upstream("https://me:pw@example.com/mcp", CONTEXT7_API_KEY=KEY)
        assert given.credential == KEY

    @pytest.mark.parametrize("key", [f"a {KEY}", f"{KEY}\n{KEY}", f"{KEY}é", f"{KEY}\x00x"])
    def test_what_cannot_be_sent_as_a_key_is_refused_and_not_shown(self, key: str) -> None:
        error = refused(CONTEXT7_API_KEY=key)
        assert error.variable == "CONTEXT7_API_KEY"
        assert "S3CR3T" not in str(error)

    @pytest.mark.parametrize(
        "text",
        [
            f"https://{KEY}@example.com/mcp",
            f"https://me:{KEY}@example.com/mcp",
            f"https://example.com/mcp?key={KEY}",
            f"https://example.com?{KEY}",
            f"npx -y x --api-key {KEY}",
            f"npx -y x --api-key={KEY} --other",
            f"npx -y x --api-key '{KEY}'",
            f"env CONTEXT7_API_KEY={KEY} npx -y x",
            f'sh -c "CONTEXT7_API_KEY={KEY} npx -y x"',
            f'npx mcp-remote https://example.com/mcp --header "Authorization: Bearer {KEY}"',
            f"npx mcp-remote https://example.com/mcp --header Authorization:{KEY}",
            f"npx mcp-remote https://example.com/mcp --header x-api-key:{KEY}",
            f"npx mcp-remote https://example.com/mcp --header 'CONTEXT7_API_KEY: {KEY}'",
        ],
    )
    def test_a_key_inside_of_the_target_counts_and_is_not_shown(self, text: str) -> None:
        given = settings(UPSTREAM=text)
        other = settings(UPSTREAM=text.replace(KEY, "another"))
        assert given.upstream.credential is not None
        assert KEY in given.upstream.credential
        assert other.upstream.credential != given.upstream.credential
        assert "S3CR3T" not in given.upstream.target.label
        assert "S3CR3T" not in given.upstream.origin
        assert "S3CR3T" not in repr(given)
        assert given.monthly_calls is None

    @pytest.mark.parametrize("url", [f"https://me:{KEY}@a.com/api", f"https://a.com/api?k={KEY}"])
    def test_a_key_inside_of_another_apis_address_counts_too(self, url: str) -> None:
        given = settings(CONTEXT7_API_URL=url)
        assert KEY in (given.upstream.credential or "")
        assert "S3CR3T" not in repr(given)

    @pytest.mark.parametrize(
        "text",
        ["off", "https://example.com/mcp", "npx -y x", "npx -y x --api-key", "serve /api-keys"],
    )
    def test_target_without_a_key_has_no_credential(self, text: str) -> None:
        assert upstream(text).credential is None

    def test_no_key_shows_in_the_settings(self) -> None:
        given = settings(KEY, CONTEXT7_API_KEY=KEY, HTTPS_PROXY=f"http://me:{KEY}@proxy")
        assert "S3CR3T" not in repr(given)
        assert "S3CR3T" not in str(given)

    @pytest.mark.parametrize(
        "text",
        [
            f"ftp://me:{KEY}@host/mcp",
            f"http://me:{KEY}@host:port/mcp",
            f"http://me:{KEY}@/mcp",
            f"https://host/mcp --api-key {KEY}",
            f"npx --api-key '{KEY}",
            f"'' --api-key {KEY}",
            f"CONTEXT7_API_KEY={KEY} npx -y x",
        ],
    )
    def test_error_about_upstream_shows_no_key(self, text: str) -> None:
        assert "S3CR3T" not in str(refused(UPSTREAM=text))

    def test_error_about_two_hosts_shows_no_key(self) -> None:
        error = refused(
            UPSTREAM=f"https://me:{KEY}@one.com/mcp?k={KEY}",
            CONTEXT7_API_URL=f"https://me:{KEY}@two.com/api?k={KEY}",
        )
        assert "S3CR3T" not in str(error)
        assert "https://one.com/mcp" in str(error)
        assert "https://two.com/api" in str(error)

    @pytest.mark.parametrize(
        ("target", "label"),
        [
            (UrlTarget("https://u:p@Example.com:8443/a/mcp?q#f"), "https://example.com:8443/a/mcp"),
            (UrlTarget("http://[::1]:3000/mcp"), "http://[::1]:3000/mcp"),
            (UrlTarget("http://[::1]/mcp"), "http://[::1]/mcp"),
            (UrlTarget("https://example.com"), "https://example.com"),
            (CommandTarget(("/opt/my tools/serve", "--api-key", "x")), "command serve"),
            (OffTarget(), "off"),
        ],
    )
    def test_label_holds_no_credential(
        self, target: UrlTarget | CommandTarget | OffTarget, label: str
    ) -> None:
        assert target.label == label
