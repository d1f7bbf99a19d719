"""The first of several keys that holds something of use, in as few round trips as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.steady import Revised

_T = TypeVar("_T")


async def first_of(
    fabric: Fabric,
    keys: Sequence[str],
    read: Callable[[Context], _T | None],
    scope: Scope = Scope.GLOBAL,
) -> _T | None:
    """Return what `read` makes of the first context under `keys` that it makes something of.

    A medium at hand is read key by key, any other for all of them in one round trip.
    """
    if len(keys) == 1 or isinstance(fabric.backend, Revised):
        for key in keys:
            context = await fabric.get_context(key, scope)
            found = None if context is None else read(context)
            if found is not None:
                return found
        return None
    contexts = await fabric.get_many(keys, scope)
    return next((found for each in contexts if (found := read(each)) is not None), None)
