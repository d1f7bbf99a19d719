"""Settings of the client: service URL and access token."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient
from context7_fabric.client.client import read_client_settings
from context7_fabric.client.source import RemoteServer
from context7_fabric.errors import SettingError

URL = "http://127.0.0.1:3000/rag"


def service(rag_url: str | None = None, **environ: str) -> RemoteServer | None:
    return read_client_settings(environ, rag_url).service


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_service_without_a_url_is_none(nothing: str | None) -> None:
    assert service(nothing, RAG_SERVICE_URL=" ") is None
    assert service(nothing, RAG_SERVICE_URL=URL) == RemoteServer(URL)


def test_service_argument_precedes_the_environment() -> None:
    assert service(f" {URL}/ ", RAG_SERVICE_URL="http://rag:8007") == RemoteServer(URL)
    assert service(URL, RAG_SERVICE_URL="nonsense") == RemoteServer(URL)


def test_token_is_sent_as_bearer_and_not_shown() -> None:
    found = service(URL, CONTEXT7_FABRIC_TOKEN=" c7f_token ")
    assert found is not None
    assert found.headers == {"Authorization": "Bearer c7f_token"}
    assert "c7f_token" not in repr(found)
    assert RemoteServer(URL).headers == {}


def test_service_label_has_no_password() -> None:
    assert RemoteServer("https://me:secret@host:1/rag").label == "https://host:1/rag"


@pytest.mark.parametrize(
    "url",
    ["rag:8007", "ftp://rag", "http://", "http://rag:port", "http://r ag", "http://rag/?a=b", "/"],
)
def test_client_with_an_invalid_url_raises_setting_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(SettingError) as caught:
        Context7CacheClient(url)
    assert (caught.value.variable, caught.value.value) == ("rag_url", url)
    monkeypatch.setenv("RAG_SERVICE_URL", url)
    with pytest.raises(SettingError) as caught:
        Context7CacheClient()
    assert caught.value.variable == "RAG_SERVICE_URL"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("ftp://me:secret@host", ""),
        ("http://me:secret@host", "c7f_token"),
        (URL, "se cret"),
        (URL, "sécret"),
        (URL, "x\nsecret"),
    ],
)
def test_setting_error_shows_no_secret(url: str, token: str) -> None:
    with pytest.raises(SettingError) as caught:
        service(url, CONTEXT7_FABRIC_TOKEN=token)
    for secret in ("secret", "se cret", "sécret", "c7f_token"):
        assert secret not in str(caught.value)
