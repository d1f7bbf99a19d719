"""Isolation of principals: what a key fetched is its own, what none fetched is public."""

import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.answers.stored import AnswerStore, StoredAnswer, docs_key
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC, Caller, Question
from support.scripted import FakeClock, ScriptedUpstream, list_text, scripted_app

PRINCIPALS = st.sampled_from([PUBLIC, "key-aaaa", "key-bbbb", "name-team"])
KEYS = st.sampled_from(["/a/b?x", "/a/b?x+y", "/c/d?x"])


def record(principal: str, key: str) -> StoredAnswer:
    """Return an answer that says whose it is."""
    return StoredAnswer(
        kind="docs",
        text=f"fetched by {principal or 'no key'} for {key}",
        subject=key.partition("?")[0],
        question="x",
        principal=principal,
        origin="here",
        fetched_at=0.0,
    )


@settings(max_examples=150, deadline=None)
@given(
    writes=st.lists(st.tuples(PRINCIPALS, KEYS), max_size=12),
    reads=st.lists(st.tuples(PRINCIPALS, KEYS), min_size=1, max_size=12),
)
def test_no_entry_crosses_and_public_ones_are_shared(
    writes: list[tuple[str, str]], reads: list[tuple[str, str]]
) -> None:
    async def walk() -> None:
        async with Fabric(MemoryBackend(), FakeClock()) as fabric:
            shelf = AnswerStore(fabric)
            for principal, key in writes:
                await shelf.write(docs_key(key), record(principal, key))
            for principal, key in reads:
                read = await shelf.read([docs_key(key)], principal)
                own = (principal, key) in writes
                expected = principal if own else PUBLIC if (PUBLIC, key) in writes else None
                assert (read.principal if read else None) == expected
                about = await shelf.about(key.partition("?")[0], principal)
                assert {each.principal for each in about} <= {principal, PUBLIC}

    anyio.run(walk)


@pytest.mark.parametrize("reader", ["", "other"])
async def test_a_keyed_answer_is_not_served_to_another(tmp_path: Path, reader: str) -> None:
    upstream, clock = ScriptedUpstream(), FakeClock()
    question = Question("/widgets/widget1", "start")
    async with scripted_app(upstream, clock, tmp_path, PRINCIPAL="owner") as app:
        await app.services.query(question, Caller(app.principal))
        assert (await app.services.query(question, Caller(app.principal))).outcome == "hit"
    async with scripted_app(upstream, clock, tmp_path, PRINCIPAL=reader) as app:
        assert (await app.services.query(question, Caller(app.principal))).outcome == "miss"
    assert len(upstream.calls) == 2


async def test_a_public_answer_is_served_to_a_key(tmp_path: Path) -> None:
    upstream, clock = ScriptedUpstream(), FakeClock()
    question = Question("/widgets/widget1", "start")
    async with scripted_app(upstream, clock, tmp_path) as app:
        await app.services.query(question, Caller(app.principal))
    async with scripted_app(upstream, clock, tmp_path, PRINCIPAL="owner") as app:
        assert (await app.services.query(question, Caller(app.principal))).outcome == "hit"


async def test_a_list_under_a_search_filter_is_private_even_without_a_key(tmp_path: Path) -> None:
    upstream, clock = ScriptedUpstream(), FakeClock()
    heading, _, entries = list_text().partition("\n\n")
    note = "**Note:** Your results only include libraries matching your access settings."
    upstream.texts["resolve-library-id"] = f"{heading}\n\n{note}\n\n{entries}"
    look_up = Question("widget")
    async with scripted_app(upstream, clock, tmp_path) as app:
        await app.services.resolve(look_up, Caller(app.principal))
        assert (await app.services.resolve(look_up, Caller(app.principal))).outcome == "hit"
    async with scripted_app(upstream, clock, tmp_path, PRINCIPAL="owner") as app:
        assert (await app.services.resolve(look_up, Caller(app.principal))).outcome == "miss"


def test_neither_key_nor_secret_shows_in_what_is_stored() -> None:
    upstream, clock = ScriptedUpstream(), FakeClock()
    key = "ctx7sk-0123456789abcdef"

    async def walk(home: Path) -> None:
        async with scripted_app(upstream, clock, home) as app:
            question = Question("/widgets/widget1", f"start with {key}")
            await app.services.query(question, Caller(app.principal))

    with tempfile.TemporaryDirectory() as home:
        anyio.run(walk, Path(home))
        stored = b"".join(path.read_bytes() for path in Path(home).rglob("*") if path.is_file())
    assert key.encode() not in stored
    assert upstream.calls[0].arguments["query"] == "start with [api-key]"
