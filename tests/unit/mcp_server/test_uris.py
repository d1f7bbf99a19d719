"""Addresses of resources: what they ask for, and that none is misread."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.fabric.context import KEY_LIMIT, Scope
from context7_fabric.mcp_server.uris import (
    EntryUri,
    IndexUri,
    LibraryUri,
    RegistryUri,
    StatsUri,
    entry_uri,
    index_uri,
    read_uri,
)
from context7_fabric.parsing.ids import LibraryId

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=KEY_LIMIT)
SCOPES = st.sampled_from(Scope)
NAMES = st.text(string.ascii_letters + string.digits + "._-~é", min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("fabric://GLOBAL", IndexUri(Scope.GLOBAL)),
        ("fabric://user", IndexUri(Scope.USER)),
        ("fabric://GLOBAL?after=", IndexUri(Scope.GLOBAL)),
        ("fabric://GLOBAL?after=a%2Fb%3Fc", IndexUri(Scope.GLOBAL, "a/b?c")),
        ("fabric://GLOBAL?after=a/b", IndexUri(Scope.GLOBAL, "a/b")),
        ("fabric://EXECUTION/execution:1", EntryUri(Scope.EXECUTION, "execution:1")),
        ("fabric://GLOBAL/docs:%2Fa%2Fb%3Fx%2By%231", EntryUri(Scope.GLOBAL, "docs:/a/b?x+y#1")),
        ("fabric://GLOBAL/docs:/a/b?x+y&page=1", EntryUri(Scope.GLOBAL, "docs:/a/b?x+y&page=1")),
        ("fabric://GLOBAL/", EntryUri(Scope.GLOBAL, "")),
        ("fabric://stats", StatsUri()),
        ("library://registry", RegistryUri()),
        ("library://registry?q=c%2B%2B%20json", RegistryUri("c++ json")),
        ("library://registry/widgets", LibraryUri(LibraryId("registry", "widgets"))),
        ("library://vercel/next.js", LibraryUri(LibraryId("vercel", "next.js"))),
        ("library://a/%40scope", LibraryUri(LibraryId("a", "@scope"))),
    ],
)
def test_an_address_is_read_as_what_it_asks_for(uri: str, asked: object) -> None:
    assert read_uri(uri) == asked


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "GLOBAL",
        "file:///etc/passwd",
        "fabric:GLOBAL",
        "fabric://",
        "fabric://SECRET",
        "fabric://SECRET/key",
        "fabric://GLOBAL#key",
        "fabric://GLOBAL?before=key",
        "fabric://GLOBAL?after=a&after=b%",
        "fabric://GLOBAL/%",
        "fabric://GLOBAL/%zz",
        "fabric://GLOBAL/%FF",
        "fabric://GLOBAL/%ED%A0%80",
        "fabric://GLOBAL/\ud800",
        "fabric://GLOBAL/" + "k" * (KEY_LIMIT + 1),
        "fabric://stats/more",
        "library://",
        "library://org",
        "library://org/",
        "library:///project",
        "library://org/project/v1",
        "library://org/project@1.0",
        "library://org/pro%20ject",
        "library://registry?query=x",
        "library://registry?q=" + "x" * (KEY_LIMIT + 1),
    ],
)
def test_anything_else_is_no_address(uri: str) -> None:
    assert read_uri(uri) is None


@given(SCOPES, KEYS)
def test_the_address_of_an_entry_leads_back_to_it(scope: Scope, key: str) -> None:
    uri = entry_uri(scope, key)
    assert uri.isascii()
    assert read_uri(uri) == EntryUri(scope, key)


@given(SCOPES, KEYS.filter(bool))
def test_the_address_of_a_page_leads_back_to_it(scope: Scope, after: str) -> None:
    assert read_uri(index_uri(scope, after)) == IndexUri(scope, after)


@given(NAMES, NAMES.map("@".__add__) | NAMES)
def test_every_library_has_an_address(org: str, project: str) -> None:
    uri = f"library://{quote(org)}/{quote(project)}"
    assert read_uri(uri) == LibraryUri(LibraryId(org, project))


@given(st.text(max_size=200) | st.text(max_size=100).map("fabric://GLOBAL".__add__))
def test_reading_an_address_never_fails(uri: str) -> None:
    meant = read_uri(uri)
    assert meant is None or uri.partition(":")[0] in ("fabric", "library")
