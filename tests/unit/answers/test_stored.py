"""The shelf of stored answers: who may read which, and what is found about a library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from context7_fabric.answers.stored import (
    ANONYMOUS,
    LONGEST_READ,
    AnswerStore,
    RecordFactory,
    StoredAnswer,
    TextChange,
    docs_key,
    list_key,
    owners,
    record_of,
)
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import question_key
from support.disks import fabric_on_disk
from unit.fabric.fakes import NOON, FakeClock

MINE, THEIRS = "key-mine", "key-theirs"
ANSWER = StoredAnswer("docs", "text", "/acme/widgets", "how", PUBLIC, "origin", NOON)


@pytest.fixture
async def fabric() -> AsyncIterator[Fabric]:
    async with Fabric(MemoryBackend(), FakeClock()) as fabric:
        yield fabric


@pytest.fixture
def shelf(fabric: Fabric) -> AnswerStore:
    return AnswerStore(fabric)


def answer(owner: str = PUBLIC, text: str = "text", subject: str = "/acme/widgets") -> StoredAnswer:
    return replace(ANSWER, principal=owner, text=text, subject=subject)


class TestReading:
    @pytest.mark.parametrize(
        ("stored", "reader", "read"),
        [
            ([PUBLIC], PUBLIC, PUBLIC),
            ([PUBLIC], MINE, PUBLIC),
            ([MINE], MINE, MINE),
            ([MINE, PUBLIC], MINE, MINE),
            ([MINE, PUBLIC], THEIRS, PUBLIC),
            ([MINE], THEIRS, None),
            ([MINE], PUBLIC, None),
            ([ANONYMOUS], PUBLIC, ANONYMOUS),
            ([ANONYMOUS, PUBLIC], PUBLIC, ANONYMOUS),
            ([ANONYMOUS], MINE, None),
            ([], MINE, None),
        ],
    )
    async def test_read_returns_the_principals_own_answer_before_the_public_one(
        self, shelf: AnswerStore, stored: list[str], reader: str, read: str | None
    ) -> None:
        for owner in stored:
            await shelf.write("docs:key", answer(owner))
        found = await shelf.read(["docs:key"], reader)
        assert found == (None if read is None else answer(read))

    async def test_an_answer_under_anothers_key_is_not_read(
        self, fabric: Fabric, shelf: AnswerStore
    ) -> None:
        await shelf.write("docs:key", answer(MINE))
        context = await fabric.get_context(f"docs:key#{MINE}")
        assert context is not None
        await fabric.set_context("docs:key", context.value)
        assert await shelf.read(["docs:key"], PUBLIC) is None
        assert await shelf.read(["docs:key"], THEIRS) is None

    async def test_what_was_read_is_kept_in_memory_until_any_process_writes(
        self, tmp_path: Path
    ) -> None:
        async with (
            await fabric_on_disk(tmp_path) as ours,
            await fabric_on_disk(tmp_path) as theirs,
        ):
            shelf, other = AnswerStore(ours), AnswerStore(theirs)
            await shelf.write("docs:key", answer(MINE))
            first = await shelf.read(["docs:key"], MINE)
            assert first == answer(MINE)
            assert await shelf.read(["docs:key"], MINE) is first
            assert await shelf.read(["docs:key"], THEIRS) is None
            assert await shelf.read(["docs:key"], PUBLIC) is None
            await other.write("docs:key", answer(MINE, "new"))
            assert await shelf.read(["docs:key"], MINE) == answer(MINE, "new")
            await other.drop(["docs:key"], MINE)
            assert await shelf.read(["docs:key"], MINE) is None

    async def test_what_ends_of_itself_ends_in_memory_too(self, tmp_path: Path) -> None:
        clock = FakeClock()
        async with await fabric_on_disk(tmp_path, clock) as fabric:
            shelf = AnswerStore(fabric)
            await fabric.set_context("docs:key", asdict(answer()), ttl=60)
            assert await shelf.read(["docs:key"], PUBLIC) == answer()
            clock.now += 60
            assert await shelf.read(["docs:key"], PUBLIC) is None

    async def test_a_very_long_text_is_read_each_time(self, tmp_path: Path) -> None:
        long = answer(text="x" * (LONGEST_READ + 1))
        async with await fabric_on_disk(tmp_path) as fabric:
            shelf = AnswerStore(fabric)
            await shelf.write("docs:key", long)
            first = await shelf.read(["docs:key"], PUBLIC)
            assert first == await shelf.read(["docs:key"], PUBLIC) == long
            assert await shelf.read(["docs:key"], PUBLIC) is not first

    async def test_own_returns_only_the_owners_answer(self, shelf: AnswerStore) -> None:
        await shelf.write("docs:key", answer(PUBLIC))
        assert await shelf.own("docs:key", MINE) is None
        assert await shelf.own("docs:key", PUBLIC) == answer(PUBLIC)

    async def test_changes_are_kept(self, shelf: AnswerStore) -> None:
        changed = replace(ANSWER, changes=(TextChange(NOON, "old", "new"),))
        await shelf.write("docs:key", changed)
        assert await shelf.read(["docs:key"], PUBLIC) == changed

    async def test_answer_in_quarantine_is_never_served(
        self, fabric: Fabric, shelf: AnswerStore
    ) -> None:
        await shelf.set_aside("docs:key", answer(MINE))
        assert await shelf.read(["docs:key"], MINE) is None
        assert await fabric.keys(Scope.GLOBAL) == [f"quarantine:docs:key#{MINE}"]

    def test_readers_and_owners_agree(self) -> None:
        for reader in (PUBLIC, MINE):
            readable = [
                o for o in (PUBLIC, MINE, ANONYMOUS, THEIRS) if answer(o).readable_by(reader)
            ]
            assert sorted(readable) == sorted(owners(reader))

    def test_a_record_is_stamped_with_time_and_origin(self) -> None:
        clock = FakeClock()
        stamp = RecordFactory(clock, "origin")
        assert stamp.answer("text", "/acme/widgets", "how", PUBLIC) == ANSWER
        clock.now = NOON + 60
        listing = stamp.listing("text", "widgets", "how", MINE)
        assert listing == replace(
            ANSWER, kind="list", subject="widgets", principal=MINE, fetched_at=NOON + 60
        )

    def test_a_text_has_a_digest(self) -> None:
        assert answer(text="a").digest.startswith("ca978112ca1bbdca")
        assert answer(text="\ud800").digest != answer(text="a").digest

    @pytest.mark.parametrize("value", [None, "text", [], {}, {"kind": "docs"}, {"kind": "other"}])
    def test_something_else_is_no_stored_answer(self, value: Json) -> None:
        assert record_of(Context("docs:key", value, Scope.GLOBAL, NOON)) is None


class TestFinding:
    @pytest.mark.parametrize(
        "library",
        ["/acme/widgets", "/acme/@scope", "/acme/100%", "/a&b/c#d", "/acme/[x]*", "/é/鍵"],
    )
    async def test_all_answers_about_a_library_are_found(
        self, shelf: AnswerStore, library: str
    ) -> None:
        texts = []
        for subject in (library, f"{library}/1.0", f"{library}x", "/acme/other"):
            parsed = parse_id(subject)
            assert parsed is not None
            key = docs_key(question_key(parsed, "how", mode="any", page=1))
            await shelf.write(key, answer(text=subject))
            texts.append(subject)
        found = await shelf.about(library, PUBLIC)
        assert {record.text for record in found} == set(texts[:2])

    async def test_of_others_answers_none_is_found(self, shelf: AnswerStore) -> None:
        await shelf.write("docs:/acme/widgets?how", answer(MINE))
        assert await shelf.about("/acme/widgets", THEIRS) == []
        assert await shelf.about("/acme/widgets", MINE) == [answer(MINE)]

    async def test_about_what_is_no_id_nothing_is_found(self, shelf: AnswerStore) -> None:
        assert await shelf.about("widgets", PUBLIC) == []

    async def test_answers_and_lists_are_counted_apart(self, shelf: AnswerStore) -> None:
        await shelf.write("docs:1", answer())
        await shelf.write("docs:1", answer(MINE))
        await shelf.write("list:1", answer())
        await shelf.set_aside("docs:1", answer())
        assert await shelf.counts() == {"answers": 2, "lists": 1, "quarantined": 1}


class TestKeys:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("next.js", "list:next.js"),
            ("@types/node", "list:@types/node"),
            ("c++", "list:c++"),
            ("c#", "list:c%23"),
            ("a*b?[c]", "list:a%2Ab%3F%5Bc%5D"),
            ("react#key-theirs", "list:react%23key-theirs"),
            ("", "list:"),
            ("\ud800", "list:%ED%A0%80"),
        ],
    )
    def test_a_name_is_a_key_without_signs_of_meaning(self, name: str, key: str) -> None:
        assert list_key(name) == key
