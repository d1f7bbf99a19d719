"""Learned choices are stored: choices by name, moves by id, for each principal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.registry.choices import LearnedChoices
from support.disks import fabric_on_disk
from unit.fabric.fakes import NOON, FakeClock

MINE, THEIRS = "key-mine", "key-theirs"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fabric(clock: FakeClock) -> AsyncIterator[Fabric]:
    async with Fabric(MemoryBackend(), clock) as fabric:
        yield fabric


@pytest.fixture
def learned(fabric: Fabric) -> LearnedChoices:
    return LearnedChoices(fabric)


class TestChoices:
    async def test_the_last_choice_counts(self, learned: LearnedChoices) -> None:
        assert await learned.choice(["react"], PUBLIC) is None
        await learned.choose("react", "/facebook/react", PUBLIC)
        await learned.choose("react", "/reactjs/react.dev", PUBLIC)
        assert await learned.choice(["react"], PUBLIC) == "/reactjs/react.dev"

    async def test_each_principal_chooses_alone(self, learned: LearnedChoices) -> None:
        await learned.choose("react", "/mine/react", MINE)
        await learned.choose("react", "/public/react", PUBLIC)
        assert await learned.choice(["react"], MINE) == "/mine/react"
        assert await learned.choice(["react"], PUBLIC) == "/public/react"
        assert await learned.choice(["react"], THEIRS) is None

    @pytest.mark.parametrize("name", ["react#key-theirs", "a*", "c++", "@types/node", "\ud800", ""])
    async def test_any_name_can_be_chosen_for_and_stands_for_itself_alone(
        self, learned: LearnedChoices, name: str
    ) -> None:
        await learned.choose(name, "/a/b", PUBLIC)
        assert await learned.choice([name], PUBLIC) == "/a/b"
        assert await learned.choice(["react"], THEIRS) is None
        assert await learned.choice(["react"], PUBLIC) is None

    async def test_the_same_choice_again_is_not_written(
        self, learned: LearnedChoices, fabric: Fabric, clock: FakeClock
    ) -> None:
        await learned.choose("react", "/a/b", PUBLIC)
        clock.now = NOON + 60
        await learned.choose("react", "/a/b", PUBLIC)
        contexts = await fabric.query("choice:*")
        assert [context.created_at for context in contexts] == [NOON]

    async def test_something_else_in_its_place_is_no_choice(
        self, learned: LearnedChoices, fabric: Fabric
    ) -> None:
        await fabric.set_context("choice:react", ["/a/b"])
        assert await learned.choice(["react"], PUBLIC) is None


class TestMoves:
    async def test_an_id_leads_to_itself_until_it_moves(self, learned: LearnedChoices) -> None:
        assert await learned.moved("/a/a", PUBLIC) == "/a/a"
        await learned.move("/a/a", "/b/b", PUBLIC)
        assert await learned.moved("/a/a", PUBLIC) == "/b/b"
        assert await learned.moved("/b/b", PUBLIC) == "/b/b"

    async def test_a_move_that_another_process_learns_or_forgets_counts_at_once(
        self, tmp_path: Path
    ) -> None:
        async with (
            await fabric_on_disk(tmp_path) as ours,
            await fabric_on_disk(tmp_path) as theirs,
        ):
            learned, elsewhere = LearnedChoices(ours), LearnedChoices(theirs)
            assert await learned.moved("/a/a", MINE) == "/a/a"
            await elsewhere.move("/a/a", "/b/b", MINE)
            assert [await learned.moved("/a/a", MINE) for _ in range(2)] == ["/b/b", "/b/b"]
            assert await learned.moved("/a/a", THEIRS) == "/a/a"
            await theirs.delete_matching("move:", lambda _context: True)
            assert await learned.moved("/a/a", MINE) == "/a/a"

    async def test_moves_are_followed_three_times(self, learned: LearnedChoices) -> None:
        for old, new in (("1", "2"), ("2", "3"), ("3", "4"), ("4", "5")):
            await learned.move(f"/o/{old}", f"/o/{new}", PUBLIC)
        assert await learned.moved("/o/1", PUBLIC) == "/o/4"
        assert await learned.moved("/o/2", PUBLIC) == "/o/5"

    async def test_moves_in_a_circle_come_to_an_end(self, learned: LearnedChoices) -> None:
        await learned.move("/a/a", "/b/b", PUBLIC)
        await learned.move("/b/b", "/a/a", PUBLIC)
        assert await learned.moved("/a/a", PUBLIC) in ("/a/a", "/b/b")

    async def test_a_move_of_one_principal_is_not_followed_for_another(
        self, learned: LearnedChoices
    ) -> None:
        await learned.move("/a/a", "/b/b", MINE)
        assert await learned.moved("/a/a", MINE) == "/b/b"
        assert await learned.moved("/a/a", THEIRS) == "/a/a"
        assert await learned.moved("/a/a", PUBLIC) == "/a/a"


async def test_all_of_it_is_global(learned: LearnedChoices, fabric: Fabric) -> None:
    await learned.choose("react", "/a/b", MINE)
    await learned.move("/a/a", "/b/b", PUBLIC)
    assert sorted(await fabric.keys(Scope.GLOBAL)) == ["choice:react#key-mine", "move:/a/a"]
