"""Which service a client asks, and with what token."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient
from context7_fabric.client.environment import RemoteServer, read_client_settings
from context7_fabric.errors import SettingError

URL = "http://127.0.0.1:3000/rag"


def service(rag_url: str | None = None, **environ: str) -> RemoteServer | None:
    return read_client_settings(environ, rag_url).service


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_without_a_service_this_machines_registry_is_asked(nothing: str | None) -> None:
    assert service(nothing, RAG_SERVICE_URL=" ") is None
    assert service(nothing, RAG_SERVICE_URL=URL) == RemoteServer(URL)


def test_what_the_program_says_goes_before_the_environment() -> None:
    assert service(f" {URL}/ ", RAG_SERVICE_URL="http://rag:8007") == RemoteServer(URL)
    assert service(URL, RAG_SERVICE_URL="nonsense") == RemoteServer(URL)


def test_the_token_is_sent_as_a_bearer_and_never_shown() -> None:
    found = service(URL, CONTEXT7_FABRIC_TOKEN=" c7f_token ")
    assert found is not None
    assert found.headers == {"Authorization": "Bearer c7f_token"}
    assert "c7f_token" not in repr(found)
    assert RemoteServer(URL).headers == {}


def test_a_service_is_named_without_its_password() -> None:
    assert RemoteServer("https://me:secret@host:1/rag").label == "https://host:1/rag"


@pytest.mark.parametrize(
    "url",
    ["rag:8007", "ftp://rag", "http://", "http://rag:port", "http://r ag", "http://rag/?a=b", "/"],
)
def test_what_is_no_address_is_told_at_once(
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
def test_what_cannot_be_used_is_not_repeated_when_it_is_secret(url: str, token: str) -> None:
    with pytest.raises(SettingError) as caught:
        service(url, CONTEXT7_FABRIC_TOKEN=token)
    for secret in ("secret", "se cret", "sécret", "c7f_token"):
        assert secret not in str(caught.value)
