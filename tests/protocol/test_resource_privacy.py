"""No address shows a principal the entries of another one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import cast

import anyio
import mcp_types as types
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError

from context7_fabric.answers.stored import StoredAnswer
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.mcp_server.uris import entry_uri, index_uri
from context7_fabric.models import LOCAL_OWNER, PUBLIC
from context7_fabric.privacy.principals import owned
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.runtime.app import App
from support.app_server import connected
from support.scripted import NOW, FakeClock, ScriptedUpstream, scripted_app

NAMES = ("alpha", "beta")
PRINCIPALS = st.sampled_from([PUBLIC, *(f"name-{name}" for name in NAMES)])
OWNERS = st.sampled_from(["local", "owner-eve"])
KEYS = (
    "docs:/{tag}/lib?x",
    "list:{tag}",
    "quarantine:docs:/{tag}/lib?x",
    "move:/{tag}/lib",
    "choice:{tag}",
)
BOOKKEEPING = ("meter:{0}:2027-01:writer", "upstream:rest:{0}", "upstream:rest:{0}:said")
KINDS = st.sampled_from([*KEYS, *BOOKKEEPING, "row", "vector", *Scope])
NAMELESS = {"vector", Scope.USER}
"""Kinds of which a principal sees nothing that names it."""

NO_SEEDS = """\
version: "1.0"
ttl_days: 30
categories:
  none:
    description: "none"
    libraries: []
"""
Stored = tuple[str, str, str]


async def store(fabric: Fabric, kind: str, principal: str, owner: str) -> None:
    """Store something of that kind; all that it says names whose it is."""
    tag = principal or "public"
    about: Json = {"said by": tag}
    if kind == "row":
        await RowStore(fabric, principal).save([Row(f"{tag}-lib", "npm", f"/{tag}/lib", title=tag)])
    elif kind == "vector":
        await fabric.set_context(f"vector:0123:lib-npm-{tag}", tag)
    elif kind in KEYS:
        answer = StoredAnswer("docs", tag, f"/{tag}/lib", tag, principal, "here", NOW)
        key = owned(kind.format(tag=tag), principal)
        await fabric.set_context(key, cast("Json", asdict(answer)))
    elif kind in BOOKKEEPING:
        await fabric.set_context(kind.format(principal), about)
    elif kind == Scope.USER:
        await fabric.set_context(f"of {owner}", {"said by": owner}, Scope.USER, {"owner": owner})
    else:
        metadata: dict[str, Json] = {} if kind == Scope.GLOBAL else {"principal": principal}
        await fabric.set_context(owned(f"of {tag}", principal), about, kind, metadata)


def app_of(name: str, home: Path) -> AbstractAsyncContextManager[App]:
    """Open the app on `home` for the principal `name`, without seeds: they are public anyway."""
    seeds = home / "seeds.yaml"
    seeds.write_text(NO_SEEDS)
    chosen = {"PRINCIPAL": name} if name else {}
    return scripted_app(ScriptedUpstream(), FakeClock(), home, SEED=str(seeds), **chosen)


async def texts_at(client: Client, uris: Iterable[str]) -> AsyncIterator[str]:
    """Give what stands at each of `uris` that leads anywhere."""
    for uri in uris:
        with suppress(MCPError):
            for content in (await client.read_resource(uri)).contents:
                yield cast("types.TextResourceContents", content).text


async def everything_shown(home: Path, name: str, contexts: list[tuple[Scope, str]]) -> str:
    """Return all that the principal `name` ("": none) can read at any address."""
    tags = ("public", *(f"name-{each}" for each in NAMES))
    uris = [
        "library://registry",
        "fabric://stats",
        *(index_uri(scope) for scope in Scope),
        *(entry_uri(scope, key) for scope, key in contexts),
        *(index_uri(scope, key) for scope, key in contexts),
        "library://registry?q=lib",
        *(f"library://{tag}/lib" for tag in tags),
    ]
    async with app_of(name, home) as app, connected(app) as client:
        return "\n".join([text async for text in texts_at(client, uris)])


@pytest.mark.timeout(180)  # it opens some two hundred apps
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.tuples(KINDS, PRINCIPALS, OWNERS), min_size=1, max_size=12))
def test_read_of_any_address_shows_nothing_of_other_principals(entries: list[Stored]) -> None:
    async def walk(home: Path) -> None:
        async with app_of("", home) as app:
            for entry in entries:
                await store(app.fabric, *entry)
            contexts = [(scope, key) for scope in Scope for key in await app.fabric.keys(scope)]
        for name in ("", *NAMES):
            shown = await everything_shown(home, name, contexts)
            assert "owner-eve" not in shown
            own = {kind for kind, principal, _ in entries if principal == f"name-{name}"}
            seen = [name] if own - NAMELESS else []
            assert [each for each in NAMES if f"name-{each}" in shown] == seen

    with tempfile.TemporaryDirectory() as home:
        anyio.run(walk, Path(home))


async def indexes_shown(home: Path, name: str, entries: list[Stored]) -> dict[str, Json]:
    """Store `entries` and return what the principal `name` reads at the index of each scope."""
    async with app_of("", home) as app:
        for entry in entries:
            await store(app.fabric, *entry)
    uris = [index_uri(scope) for scope in Scope]
    async with app_of(name, home) as app, connected(app) as client:
        texts = [text async for text in texts_at(client, uris)]
    return dict(zip(uris, map(json.loads, texts), strict=True))


def seen_by(name: str, entry: Stored) -> bool:
    """Return whether an entry is the principal's own or public."""
    kind, principal, owner = entry
    if kind in NAMELESS:
        return kind == Scope.USER and owner == LOCAL_OWNER
    return principal in (PUBLIC, f"name-{name}")


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.tuples(KINDS, PRINCIPALS, OWNERS), max_size=12), st.sampled_from(["", *NAMES]))
def test_what_others_own_changes_nothing_in_ones_own_index(
    entries: list[Stored], name: str
) -> None:
    async def compare(all_home: Path, own_home: Path) -> None:
        own = [entry for entry in entries if seen_by(name, entry)]
        shown = await indexes_shown(all_home, name, entries)
        assert shown == await indexes_shown(own_home, name, own)

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        anyio.run(compare, Path(one), Path(two))
