"""From what a caller hands over to what a backend stores: checked, encoded, dated. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.errors import KeyTooLong, ValueTooLarge
from context7_fabric.fabric.backends.base import Put
from context7_fabric.fabric.codec import encode
from context7_fabric.fabric.context import KEY_LIMIT, VALUE_LIMIT, Context, Json, Scope, address
from context7_fabric.models import Clock


@dataclass(frozen=True, slots=True)
class Drafts:
    """Makes entries out of contexts.

    A key has at most `KEY_LIMIT` characters, an encoded context at most `value_limit` bytes.
    """

    clock: Clock
    value_limit: int = VALUE_LIMIT

    def put(
        self,
        key: str,
        value: Json,
        scope: Scope | str,
        metadata: dict[str, Json] | None,
        ttl: float | None,
        disposable: bool | None,  # noqa: FBT001  # passed on from a keyword
    ) -> Put:
        """Return the entry that stores `value`; arguments and errors as `Fabric.set_context`."""
        if len(key) > KEY_LIMIT:
            raise KeyTooLong(key, KEY_LIMIT)
        now = self.clock()
        until = None if ttl is None else now + ttl
        context = Context(key, value, Scope(scope), now, until, metadata or {})
        data = encode(context)
        if len(data) > self.value_limit:
            raise ValueTooLarge(key, len(data), self.value_limit)
        if disposable is None:
            disposable = ttl is not None or context.scope is Scope.EXECUTION
        return Put(address(context.scope, key), data, now, ttl, disposable)
