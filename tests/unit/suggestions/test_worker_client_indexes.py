"""Which indexes a worker has: those asked last, as far as there is room, one request at a time."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.index_sync import IndexSync
from context7_fabric.suggestions.worker.wire import Message
from context7_fabric.suggestions.worker_client import WorkerIndexes

ROOM = 4


class Counting:
    """A worker that counts the rows it is sent, and tells no two requests apart."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.at_once = self.most_at_once = 0
        self.ended = False
        self.breaks = False
        self.go_on = anyio.Event()
        self.go_on.set()

    async def request(self, do: str, seconds: float, **details: object) -> Message | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.lowlevel.checkpoint()
            await self.go_on.wait()
            return None if self.breaks else self._answer(do, **details)
        finally:
            self.at_once -= 1

    def end(self) -> None:
        self.ended = True

    def _answer(self, do: str, **details: object) -> Message:
        principal = str(details["principal"])
        if do == "release":
            self.held.pop(principal, None)
            return {}
        rows = details.get("rows", ())
        assert isinstance(rows, Sequence)
        self.held[principal] = self.held.get(principal, 0) + len(rows)
        return {"count": 0, "vectors": {}}


class NoVectors:
    """Stores nothing, because nothing is computed."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    async def save(self, vectors: dict[str, bytes]) -> None:
        raise AssertionError


class Kept:
    """A keeper in the test's hand."""

    def __init__(self, tasks: TaskGroup, room: int | None = ROOM) -> None:
        self.worker = Counting()
        self.news = anyio.Event()
        self.keeper = WorkerIndexes(tasks, self.worker, "model", room, self._tell)

    async def use(self, *mirrors: IndexSync) -> None:
        """Use them one after the other, each until it is settled."""
        for mirror in mirrors:
            while not mirror.settled:
                self.keeper.use(mirror)
                await self.news.wait()
            self.keeper.use(mirror)

    async def held(self, *principals: str) -> None:
        """Wait until the worker has the indexes of these and of nobody else."""
        while set(self.worker.held) != set(principals):
            await self.news.wait()

    def _tell(self) -> None:
        self.news.set()
        self.news = anyio.Event()


def mirror(principal: str, size: int = 2) -> IndexSync:
    """What a principal with so many rows has."""
    rows = {row.key: row for row in (Row(f"row-{number}", "npm") for number in range(size))}
    made = IndexSync(principal, rows.get, NoVectors(), None)
    for row in rows.values():
        made.put(row)
    return made


async def test_as_many_indexes_are_kept_as_there_is_room_for(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    await kept.use(mirror("ann"), mirror("bob"))
    assert kept.worker.held == {"ann": 2, "bob": 2}
    await kept.use(mirror("cid"))
    await kept.held("bob", "cid")


async def test_of_those_the_one_that_was_not_used_for_longest_makes_room(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    ann, bob = mirror("ann"), mirror("bob")
    await kept.use(ann, bob, ann, mirror("cid"))
    await kept.held("ann", "cid")
    assert ann.settled
    assert ann.complete
    assert not bob.complete


async def test_one_index_is_kept_however_large_it_is(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    await kept.use(mirror("ann"), mirror("bob"), large := mirror("cid", 2 * ROOM))
    await kept.held("cid")
    assert large.settled


async def test_however_many_come_no_more_rows_are_held_than_there_is_room_for(
    tasks: TaskGroup,
) -> None:
    kept = Kept(tasks)
    for number in range(64):
        await kept.use(mirror(f"key-{number}", 1))
    await kept.held(*(f"key-{number}" for number in range(60, 64)))


async def test_where_there_is_no_bound_all_are_kept(tasks: TaskGroup) -> None:
    kept = Kept(tasks, room=None)
    await kept.use(*(mirror(f"key-{number}") for number in range(64)))
    assert len(kept.worker.held) == 64


async def test_an_index_that_was_let_go_of_is_filled_again_when_it_is_used(
    tasks: TaskGroup,
) -> None:
    kept = Kept(tasks)
    ann = mirror("ann")
    await kept.use(ann)
    kept.keeper.let_go(ann)
    await kept.held()
    await kept.use(ann)
    assert kept.worker.held == {"ann": 2}


async def test_who_comes_back_under_the_same_name_loses_nothing_to_the_one_before(
    tasks: TaskGroup,
) -> None:
    kept = Kept(tasks)
    await kept.use(before := mirror("ann"))
    kept.worker.go_on = anyio.Event()
    kept.keeper.let_go(before)
    kept.keeper.use(after := mirror("ann", 1))
    assert after not in kept.keeper
    kept.worker.go_on.set()
    await kept.use(after)
    assert kept.worker.held == {"ann": 1}


async def test_a_worker_is_asked_one_thing_at_a_time_by_all_who_fill(tasks: TaskGroup) -> None:
    kept = Kept(tasks, room=None)
    mirrors = [mirror(f"key-{number}", 40) for number in range(40)]
    for each in mirrors:
        kept.keeper.use(each)
    await kept.use(*mirrors)
    assert kept.worker.most_at_once == 1


async def test_a_worker_is_of_use_once_an_index_is_as_it_should_be(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    assert not kept.keeper.useful
    await kept.use(mirror("ann"))
    assert kept.keeper.useful


async def test_a_worker_that_does_not_reply_is_given_up(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    kept.worker.breaks = True
    kept.keeper.use(ann := mirror("ann"))
    while ann in kept.keeper:
        await kept.news.wait()
    assert kept.worker.ended
    assert not kept.keeper.useful
