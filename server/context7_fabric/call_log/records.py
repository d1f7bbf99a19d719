"""Records of calls: what was asked, how the answer came about, how long it took.

They are written behind the answers, in batches, as contexts of the EXECUTION scope.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import isfinite
from typing import NamedTuple, cast

import anyio
from pydantic import JsonValue, TypeAdapter, ValidationError

from context7_fabric.errors import StoreError, UnknownExecution
from context7_fabric.fabric.context import Context, Json, Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import (
    HITS,
    Answer,
    Caller,
    Clock,
    Outcome,
    TracedStep,
    new_execution_id,
    tokens,
)
from context7_fabric.settings.values import ExecutionSettings


@dataclass(frozen=True, slots=True)
class CallStep:
    """Something that happened, in milliseconds since the call began."""

    what: str
    at_ms: float


@dataclass(frozen=True, slots=True)
class AutomatedScore:
    """What the metrics say of an answer: a point each for a hit, quickness and a usable text."""

    hit: bool
    quick: bool
    parsed: bool

    @property
    def score(self) -> int:
        """The points, 0 to 3."""
        return self.hit + self.quick + self.parsed


@dataclass(frozen=True, slots=True)
class CallRecord:
    """The record of one call; `at` is in seconds since the epoch, `size` in characters.

    `stored_at` are the store's keys that the answer was looked for under, `upstream` says whether
    this call caused one to Context7.
    """

    id: str
    at: float
    tool: str
    arguments: dict[str, JsonValue]
    outcome: str
    tier: str
    library_id: str | None
    latency_ms: float
    steps: tuple[CallStep, ...]
    size: int
    tokens: int
    tokens_saved: int
    upstream: bool
    client: str
    principal: str
    stored_at: tuple[str, ...]
    automated: AutomatedScore
    error: str | None = None


@cache
def execution_form() -> TypeAdapter[CallRecord]:
    """Return what reads and writes a record; to make it takes a while, when the first is made."""
    return TypeAdapter(CallRecord)


def record_in(context: Context) -> CallRecord | None:
    """Return the record that `context` holds, None when it is something else."""
    try:
        return execution_form().validate_python(context.value)
    except ValidationError:
        return None


log = logging.getLogger(__name__)

PREFIX = "execution:"
WRITE_EVERY = 0.5
"""Seconds that a record waits for others: this much is lost when the process is killed."""

AGAIN_EVERY = 1.0
"""Seconds until it is tried again where the store does not work."""

AT_ONCE = 20
"""Records that are written together: half a millisecond in which nobody else has a turn."""

MANY = 200
"""Records that are not let wait any longer."""

BEHIND = 2_000
"""Records that wait when calls come faster than they are written: half a second's worth of work."""

MOST_WAITING = 4_000
"""Records that wait at most while they cannot be written, or come faster than they can be."""

TRIM_EVERY = 200
"""Records after which there is a look whether there are too many."""

TRIM_SHARE = 10
"""Of too many, so large a share (a tenth) goes at once: finding the oldest takes its time."""

LONGEST_TEXT = 2_000
"""Characters of one argument that are kept."""

MOST_ARGUMENTS = 20
"""Arguments of one call that are kept: more than any tool takes."""

LONGEST_NAME = 100
"""Characters of an argument's name that are kept."""

LOOKED_AT = 50
"""Records that are read at once in search of one."""

QUICK_MS = 500.0
"""An answer within this time scores in the automated feedback, as the guide has it."""


class _Noted(NamedTuple):
    """A call as it is when it is answered: a record is made of it when it is written."""

    at: float
    took: float
    tool: str
    arguments: Mapping[str, object]
    caller: Caller
    answer: Answer


class CallLog:
    """Takes records and writes them behind the calls."""

    def __init__(
        self,
        fabric: Fabric,
        clock: Clock,
        redacted: Callable[[str], str],
        settings: ExecutionSettings,
    ) -> None:
        """Write to `fabric`; what was asked goes through `redacted` first."""
        self._fabric = fabric
        self._clock = clock
        self._redacted = redacted
        self._settings = settings
        self._waiting: list[_Noted] = []
        self._some, self._many = anyio.Event(), anyio.Event()
        self._writing = anyio.Lock()
        self._until_trim = 0
        self._failed = False
        self._free_ids: list[str] = []

    def record(
        self, tool: str, arguments: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Note a call that was answered; nothing is written yet."""
        if not self._settings.keep:
            return
        caller.trace.step(TracedStep.ANSWERED)
        took = caller.trace.milliseconds
        self._waiting.append(_Noted(self._clock(), took, tool, arguments, caller, answer))
        del self._waiting[:-MOST_WAITING]
        self._some.set()
        if len(self._waiting) >= MANY:
            self._many.set()

    def new_id(self) -> str:
        """Return an id that no kept record had when the store was last looked at."""
        return self._free_ids.pop() if self._free_ids else new_execution_id()

    @property
    def waiting(self) -> int:
        """How many records are not written yet."""
        return len(self._waiting)

    @property
    def is_behind(self) -> bool:
        """Tell whether calls come faster than they can be written."""
        return len(self._waiting) >= BEHIND

    async def write_behind(self) -> None:
        """Write records soon after they come; runs until it is cancelled."""
        while True:
            await self._find_free_ids()
            await self._some.wait()
            with anyio.move_on_after(WRITE_EVERY):
                await self._many.wait()
            self._some, self._many = anyio.Event(), anyio.Event()  # nobody else waits for them
            await self.flush()
            if self._failed:
                await anyio.sleep(AGAIN_EVERY)

    async def flush(self) -> None:
        """Write what waits; where the store does not work it goes on waiting."""
        async with self._writing:
            waiting = tuple(self._waiting)
            for first in range(0, len(waiting), AT_ONCE):
                batch = waiting[first : first + AT_ONCE]
                self._failed = not await self._written(batch)
                if self._failed:
                    self._some.set()
                    return
                done = {each.answer.execution_id for each in batch}
                left = (each for each in self._waiting if each.answer.execution_id not in done)
                self._waiting = list(left)
                await self._trim(len(batch))

    async def find(self, beginning: str, shown: Callable[[Context], bool]) -> CallRecord:
        """Return the record of the call whose id begins with `beginning`; "" is the newest's.

        Only records that are `shown` are looked at, and those not written yet are written first.

        Raises:
            UnknownExecution: None is it, or several may be.
            StoreError: The store cannot be searched.
        """
        await self.flush()
        found = await self._named(beginning, shown) if beginning else []
        found = found or await self._beginning(beginning, shown, 2 if beginning else 1)
        if len(found) != 1:
            raise UnknownExecution(beginning, tuple(each.id for each in found))
        return found[0]

    async def _named(self, execution_id: str, shown: Callable[[Context], bool]) -> list[CallRecord]:
        """Return the record with just this id, which longer ids may begin with."""
        found = await self._fabric.get_many([PREFIX + execution_id], Scope.EXECUTION)
        records = (record_in(context) for context in found if shown(context))
        return [record for record in records if record is not None]

    async def _find_free_ids(self) -> None:
        """Draw ids for the next calls, none of which a kept record has.

        The backend is asked without the fabric: a failure here is met again by the next write.
        """
        drawn = {new_execution_id() for _ in range(MANY - len(self._free_ids))}
        keys = {address(Scope.EXECUTION, PREFIX + each): each for each in drawn}
        try:
            taken = await self._fabric.backend.get_many(list(keys))
        except StoreError:
            return
        self._free_ids += drawn - {keys[entry.key] for entry in taken} - set(self._free_ids)

    async def _beginning(
        self, beginning: str, shown: Callable[[Context], bool], most: int
    ) -> list[CallRecord]:
        """Return the newest records whose ids begin with `beginning`, `most` of them."""
        found, last = list[CallRecord](), None
        faults = self._fabric.faults.count
        pattern = f"{PREFIX}{_globbed(beginning)}*"
        while len(found) < most:
            page = await self._fabric.query(pattern, Scope.EXECUTION, LOOKED_AT, after=last)
            records = (record_in(context) for context in page if shown(context))
            found += [record for record in records if record is not None]
            if len(page) < LOOKED_AT:
                break
            last = page[-1]
        if not found and self._fabric.faults.count > faults:
            raise StoreError("the store failed: `context7-fabric doctor` tells what to do")
        return found[:most]

    async def _written(self, batch: tuple[_Noted, ...]) -> bool:
        pipe, keep = self._fabric.pipeline(), self._settings.keep
        for each in map(self._execution, batch):
            value = cast("Json", execution_form().dump_python(each, mode="json"))
            key = PREFIX + each.id
            metadata: dict[str, Json] = {"execution_id": each.id, "principal": each.principal}
            try:
                await pipe.set_context(key, value, Scope.EXECUTION, metadata, keep)
            except (TypeError, ValueError) as error:
                log.warning("a record is not kept: %s", error)
        return await pipe.execute()

    async def _trim(self, written: int) -> None:
        self._until_trim -= written
        if self._until_trim > 0:
            return
        most = self._settings.most
        share = most // TRIM_SHARE
        self._until_trim = TRIM_EVERY
        try:
            if await self._fabric.trim(PREFIX, most, Scope.EXECUTION, down_to=most - share):
                self._until_trim = max(TRIM_EVERY, share)
        except StoreError as error:
            self._fabric.faults.note(error)

    def _execution(self, noted: _Noted) -> CallRecord:
        caller, answer, took = noted.caller, noted.answer, noted.took
        return CallRecord(
            id=answer.execution_id,
            at=noted.at,
            tool=noted.tool,
            arguments={
                self._redacted(name)[:LONGEST_NAME]: self._shown(value)
                for name, value in islice(noted.arguments.items(), MOST_ARGUMENTS)
            },
            outcome=answer.outcome.value,
            tier=answer.tier.value,
            library_id=answer.library_id,
            latency_ms=round(took, 3),
            steps=tuple(CallStep(what, round(at, 3)) for what, at in caller.trace.steps),
            size=len(answer.text),
            tokens=tokens(answer.text),
            tokens_saved=answer.tokens_saved,
            upstream=caller.trace.went_upstream,
            client=caller.client[:LONGEST_TEXT],
            principal=caller.principal,
            stored_at=caller.trace.stored_at,
            automated=AutomatedScore(
                hit=answer.outcome in HITS,
                quick=took < QUICK_MS,
                parsed=not answer.is_error and answer.outcome is not Outcome.NEGATIVE,
            ),
            error=self._redacted(answer.text)[:LONGEST_TEXT] if answer.is_error else None,
        )

    def _shown(self, value: object) -> JsonValue:
        """Return an argument as it is recorded: redacted, and not longer than it is of use."""
        if isinstance(value, bool | int | None) or (isinstance(value, float) and isfinite(value)):
            return value
        return self._redacted(str(value))[:LONGEST_TEXT]


def _globbed(text: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)
