"""Indexes in a worker: the last used ones within a limit, one request at a time."""

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
    """Indexes of a worker that the test controls."""

    def __init__(self, tasks: TaskGroup, room: int | None = ROOM) -> None:
        self.worker = Counting()
        self.changed = anyio.Event()
        self.indexes = WorkerIndexes(tasks, self.worker, "model", room, self._tell)

    async def use(self, *indexes: IndexSync) -> None:
        """Use them one after the other, each until it is settled."""
        for index in indexes:
            while not index.settled:
                self.indexes.use(index)
                await self.changed.wait()
            self.indexes.use(index)

    async def held(self, *principals: str) -> None:
        """Wait until the worker has the indexes of these alone."""
        while set(self.worker.held) != set(principals):
            await self.changed.wait()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


def index_of(principal: str, size: int = 2) -> IndexSync:
    """Return the index of a principal with `size` rows."""
    rows = {row.key: row for row in (Row(f"row-{number}", "npm") for number in range(size))}
    made = IndexSync(principal, rows.get, NoVectors(), None)
    for row in rows.values():
        made.put(row)
    return made


async def test_as_many_indexes_are_kept_as_there_is_room_for(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    await kept.use(index_of("ann"), index_of("bob"))
    assert kept.worker.held == {"ann": 2, "bob": 2}
    await kept.use(index_of("cid"))
    await kept.held("bob", "cid")


async def test_of_those_the_one_that_was_not_used_for_longest_makes_room(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    ann, bob = index_of("ann"), index_of("bob")
    await kept.use(ann, bob, ann, index_of("cid"))
    await kept.held("ann", "cid")
    assert ann.settled
    assert ann.complete
    assert not bob.complete


async def test_one_index_is_kept_however_large_it_is(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    await kept.use(index_of("ann"), index_of("bob"), large := index_of("cid", 2 * ROOM))
    await kept.held("cid")
    assert large.settled


async def test_however_many_come_no_more_rows_are_held_than_there_is_room_for(
    tasks: TaskGroup,
) -> None:
    kept = Kept(tasks)
    for number in range(64):
        await kept.use(index_of(f"key-{number}", 1))
    await kept.held(*(f"key-{number}" for number in range(60, 64)))


async def test_where_there_is_no_bound_all_are_kept(tasks: TaskGroup) -> None:
    kept = Kept(tasks, room=None)
    await kept.use(*(index_of(f"key-{number}") for number in range(64)))
    assert len(kept.worker.held) == 64


async def test_an_index_that_was_let_go_of_is_filled_again_when_it_is_used(
    tasks: TaskGroup,
) -> None:
    kept = Kept(tasks)
    ann = index_of("ann")
    await kept.use(ann)
    kept.indexes.let_go(ann)
    await kept.held()
    await kept.use(ann)
    assert kept.worker.held == {"ann": 2}


async def test_who_comes_back_under_the_same_name_loses_nothing_to_the_one_before(
    tasks: TaskGroup,
) -> None:
    kept = Kept(tasks)
    await kept.use(before := index_of("ann"))
    kept.worker.go_on = anyio.Event()
    kept.indexes.let_go(before)
    kept.indexes.use(after := index_of("ann", 1))
    assert after not in kept.indexes
    kept.worker.go_on.set()
    await kept.use(after)
    assert kept.worker.held == {"ann": 1}


async def test_a_worker_is_asked_one_thing_at_a_time_by_all_who_fill(tasks: TaskGroup) -> None:
    kept = Kept(tasks, room=None)
    indexes = [index_of(f"key-{number}", 40) for number in range(40)]
    for each in indexes:
        kept.indexes.use(each)
    await kept.use(*indexes)
    assert kept.worker.most_at_once == 1


async def test_a_worker_is_of_use_once_an_index_is_as_it_should_be(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    assert not kept.indexes.useful
    await kept.use(index_of("ann"))
    assert kept.indexes.useful


async def test_a_worker_that_does_not_reply_is_given_up(tasks: TaskGroup) -> None:
    kept = Kept(tasks)
    kept.worker.breaks = True
    kept.indexes.use(ann := index_of("ann"))
    while ann in kept.indexes:
        await kept.changed.wait()
    assert kept.worker.ended
    assert not kept.indexes.useful
