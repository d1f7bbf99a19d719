"""Made-up records of calls, stored as the product stores them."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import cast

from context7_fabric.call_log.records import PREFIX, AutomatedScore, CallRecord, CallStep
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC

DAY = 86400.0
PAGE = 1000

HIT = CallRecord(
    id="0" * 32,
    at=0.0,
    tool="query-docs",
    arguments={"libraryId": "/widgets/widget1", "query": "How do I turn a widget?"},
    outcome="hit",
    tier="question",
    library_id="/widgets/widget1",
    latency_ms=1.0,
    steps=(CallStep("stored copy, 1 minute old: fresh", 0.6), CallStep("answered", 0.9)),
    size=4500,
    tokens=1000,
    tokens_saved=0,
    upstream=False,
    client="tests 1",
    principal=PUBLIC,
    stored_at=("docs:/widgets/widget1?any:turn+widget",),
    automated=AutomatedScore(hit=True, quick=True, parsed=True),
)
"""A question that the store answered."""

MISS = replace(
    HIT,
    outcome="miss",
    tier="upstream",
    latency_ms=900.0,
    upstream=True,
    automated=AutomatedScore(hit=False, quick=False, parsed=True),
)
"""A question that Context7 answered."""

LOOK_UP = replace(
    HIT,
    tool="resolve-library-id",
    arguments={"libraryName": "widget", "query": "How do I turn a widget?"},
    tier="learned",
    tokens_saved=280,
)
"""A look-up whose choice was known."""

ERROR = replace(
    MISS,
    outcome="error",
    tier="local",
    library_id=None,
    latency_ms=55_000.0,
    automated=AutomatedScore(hit=False, quick=False, parsed=False),
    error="Context7 at mcp.context7.com did not answer within 55 s",
)
"""A question without an answer."""

_KINDS = (HIT, LOOK_UP, MISS, ERROR)
_SHARES = (0.55, 0.3, 0.13, 0.02)


def made_up(count: int, until: float, days: float = 7.0) -> Iterator[CallRecord]:
    """Yield `count` records of the `days` before `until` (epoch seconds), the same every time."""
    random = Random(count)  # noqa: S311  # made up, and the same every time
    for kind in random.choices(_KINDS, _SHARES, k=count):
        library = kind.library_id and f"/widgets/widget{int(random.paretovariate(1.1)) % 60}"
        yield replace(
            kind,
            id=f"{random.getrandbits(128):032x}",
            at=until - random.random() * days * DAY,
            library_id=library,
            latency_ms=round(kind.latency_ms * random.lognormvariate(0, 0.4), 3),
        )


async def keep(fabric: Fabric, executions: Iterable[CallRecord]) -> None:
    pipe = fabric.pipeline()
    for number, each in enumerate(executions, 1):
        metadata: dict[str, Json] = {"execution_id": each.id, "principal": each.principal}
        value = cast("Json", asdict(each))
        await pipe.set_context(PREFIX + each.id, value, Scope.EXECUTION, metadata, 7 * DAY)
        if number % PAGE == 0:
            assert await pipe.execute()
            pipe = fabric.pipeline()
    assert await pipe.execute()


async def keep_in(home: Path, executions: Iterable[CallRecord]) -> None:
    """Store records in a home on disk, and create it if it is missing."""
    async with Fabric(DiskBackend(home / "fabric"), time.time) as fabric:
        await keep(fabric, executions)
