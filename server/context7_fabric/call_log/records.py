"""Records of calls: what was asked, the outcome of the answer, the time it took.

They are written after the answers, in batches, as contexts of the EXECUTION scope.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
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
    DocsetDecision,
    Outcome,
    Tier,
    TracedStep,
    new_execution_id,
    tokens,
)
from context7_fabric.settings.values import ExecutionSettings


@dataclass(frozen=True, slots=True)
class CallStep:
    """A step of a call, in milliseconds since its beginning."""

    what: str
    at_ms: float


@dataclass(frozen=True, slots=True)
class AutomatedScore:
    """Score of an answer by its metrics: a point each for a hit, quickness and a usable text."""

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

    `stored_at` are the store's keys under which the answer was looked up, `upstream` says whether
    this call caused one to Context7, `docset` is the decision about the library's docset, `pin` the
    remark about the pin that counted.
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
    docset: DocsetDecision | None = None
    pin: str | None = None

    @property
    def is_from_docset(self) -> bool:
        """Tell whether the answer is a page of a docset."""
        return self.tier == Tier.DOCSET and self.docset is not None

    @property
    def is_for_want_of_confidence(self) -> bool:
        """Tell whether a docset was not confident enough, so that Context7 was asked."""
        return self.upstream and self.docset is not None and self.docset.is_too_low


@cache
def record_form() -> TypeAdapter[CallRecord]:
    """Return the adapter that reads and writes records; it is built at its first use."""
    return TypeAdapter(CallRecord)


def record_in(context: Context) -> CallRecord | None:
    """Return the record that `context` holds, None when it holds something else."""
    try:
        return record_form().validate_python(context.value)
    except ValidationError:
        return None


def _records_in(contexts: Iterable[Context]) -> list[CallRecord]:
    return [record for record in map(record_in, contexts) if record is not None]


log = logging.getLogger(__name__)

PREFIX = "execution:"
WRITE_EVERY = 0.5
"""Seconds that a record waits for others: as much is lost when the process is killed."""

RETRY_EVERY = 1.0
"""Seconds until the next try where the store does not work."""

BATCH = 20
"""Records that are written together: half a millisecond that blocks the event loop."""

MANY = 200
"""Records that are written without waiting for others."""

BEHIND = 2_000
"""Waiting records that take half a second to write: calls come faster than they are written."""

MOST_WAITING = 4_000
"""Records that wait at most; older ones are dropped."""

TRIM_EVERY = 200
"""Records after which their number is checked."""

TRIM_SHARE = 10
"""Part of too many records that is removed at once (a tenth): finding the oldest takes long."""

LONGEST_TEXT = 2_000
"""Characters of one argument that are kept."""

MOST_ARGUMENTS = 20
"""Arguments of one call that are kept: more than any tool takes."""

LONGEST_NAME = 100
"""Characters of an argument's name that are kept."""

_PAGE = 50

QUICK_MS = 500.0
"""An answer within this time scores as quick."""


class _Call(NamedTuple):
    """An answered call, of which a record is made when it is written."""

    at: float
    took: float
    tool: str
    arguments: Mapping[str, object]
    caller: Caller
    answer: Answer


class CallLog:
    """Takes calls, and writes their records later."""

    def __init__(
        self,
        fabric: Fabric,
        clock: Clock,
        redacted: Callable[[str], str],
        settings: ExecutionSettings,
        write_every: float = WRITE_EVERY,
        retry_every: float = RETRY_EVERY,
    ) -> None:
        """Write to `fabric`, arguments and errors after `redacted`."""
        self._fabric = fabric
        self._clock = clock
        self._redacted = redacted
        self._settings = settings
        self._write_every = write_every
        self._retry_every = retry_every
        self._waiting: list[_Call] = []
        self._some, self._many = anyio.Event(), anyio.Event()
        self._writing = anyio.Lock()
        self._until_trim = 0
        self._failed = False
        self._free_ids: list[str] = []

    def record(
        self, tool: str, arguments: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Take a call that was answered; nothing is written yet."""
        if not self._settings.keep:
            return
        caller.trace.step(TracedStep.ANSWERED)
        took = caller.trace.milliseconds
        self._waiting.append(_Call(self._clock(), took, tool, arguments, caller, answer))
        del self._waiting[:-MOST_WAITING]
        self._some.set()
        if len(self._waiting) >= MANY:
            self._many.set()

    def new_id(self) -> str:
        """Return an id that no record had when the store was last searched."""
        return self._free_ids.pop() if self._free_ids else new_execution_id()

    @property
    def waiting(self) -> int:
        """Number of records that are not written yet."""
        return len(self._waiting)

    @property
    def is_behind(self) -> bool:
        """Calls come faster than they can be written."""
        return len(self._waiting) >= BEHIND

    async def write_behind(self) -> None:
        """Write records soon after their calls; runs until it is cancelled."""
        while True:
            await self._find_free_ids()
            await self._some.wait()
            with anyio.move_on_after(self._write_every):
                await self._many.wait()
            self._some, self._many = anyio.Event(), anyio.Event()
            await self.flush()
            if self._failed:
                await anyio.sleep(self._retry_every)

    async def flush(self) -> None:
        """Write the waiting records; they go on waiting where the store does not work."""
        async with self._writing:
            waiting = tuple(self._waiting)
            for first in range(0, len(waiting), BATCH):
                batch = waiting[first : first + BATCH]
                self._failed = not await self._write(batch)
                if self._failed:
                    self._some.set()
                    return
                done = {each.answer.execution_id for each in batch}
                self._waiting = [
                    each for each in self._waiting if each.answer.execution_id not in done
                ]
                await self._trim(len(batch))

    async def find(self, beginning: str, shown: Callable[[Context], bool]) -> CallRecord:
        """Return the record of the call whose id begins with `beginning`; "" is the newest's.

        Only records that are `shown` count; waiting ones are written first.

        Raises:
            UnknownExecution: No record or several have such an id.
            StoreError: The store cannot be searched.
        """
        await self.flush()
        found: list[CallRecord] = []
        if beginning:  # an id that is whole counts alone, though longer ones may begin with it
            exact = await self._fabric.get_many([PREFIX + beginning], Scope.EXECUTION)
            found = _records_in(filter(shown, exact))
        found = found or await self._beginning(beginning, shown, 2 if beginning else 1)
        if len(found) != 1:
            raise UnknownExecution(beginning, tuple(each.id for each in found))
        return found[0]

    async def _find_free_ids(self) -> None:
        """Draw ids for the next calls that no record has.

        The backend is asked directly: the next write meets the same failure, and reports it.
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
        pattern = f"{PREFIX}{_escaped(beginning)}*"
        while len(found) < most:
            page = await self._fabric.query(pattern, Scope.EXECUTION, _PAGE, after=last)
            found += _records_in(filter(shown, page))
            if len(page) < _PAGE:
                break
            last = page[-1]
        if not found and self._fabric.faults.count > faults:
            raise StoreError("the store failed: `context7-fabric doctor` tells what to do")
        return found[:most]

    async def _write(self, batch: tuple[_Call, ...]) -> bool:
        pipe, keep = self._fabric.pipeline(), self._settings.keep
        for each in map(self._record_of, batch):
            value = cast("Json", record_form().dump_python(each, mode="json"))
            metadata: dict[str, Json] = {"execution_id": each.id, "principal": each.principal}
            try:
                await pipe.set_context(PREFIX + each.id, value, Scope.EXECUTION, metadata, keep)
            except (TypeError, ValueError) as error:
                log.warning("a record is not stored: %s", error)
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

    def _record_of(self, call: _Call) -> CallRecord:
        caller, answer, took = call.caller, call.answer, call.took
        return CallRecord(
            id=answer.execution_id,
            at=call.at,
            tool=call.tool,
            arguments={
                self._redacted(name)[:LONGEST_NAME]: self._argument(value)
                for name, value in islice(call.arguments.items(), MOST_ARGUMENTS)
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
            docset=caller.trace.docset,
            pin=caller.trace.pin,
        )

    def _argument(self, value: object) -> JsonValue:
        """Return an argument as it is recorded: redacted and shortened."""
        if isinstance(value, bool | int | None) or (isinstance(value, float) and isfinite(value)):
            return value
        return self._redacted(str(value))[:LONGEST_TEXT]


def _escaped(text: str) -> str:
    """Return `text` as a glob that matches it alone."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)
