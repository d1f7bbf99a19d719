"""Which points of a Qdrant collection are meant: the conditions that requests are made of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from qdrant_client import models

from context7_fabric.fabric.backends.qdrant_points import scope_of


def below(prefix: str, now: float, *more: models.Condition) -> models.Filter:
    """Mean the entries that live at `now` and may have a key that begins with `prefix`."""
    scope = scope_of(prefix)
    must = [*more] if scope is None else [match("scope", scope), *more]
    return models.Filter(must=must, must_not=[_past(now), _without("key")])


def ended(now: float) -> models.Filter:
    """Mean our entries that have ended at `now`, and nothing of others in the collection."""
    return models.Filter(must=[_past(now)], must_not=[_without("written")])


def match(field: str, *values: str) -> models.FieldCondition:
    """Mean the points whose `field` is one of `values`."""
    return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))


def moment(at: float) -> models.FieldCondition:
    """Mean the entries of one time."""
    return models.FieldCondition(key="at", range=models.Range(gte=at, lte=at))


def earlier(at: float) -> models.FieldCondition:
    """Mean the entries before a time."""
    return models.FieldCondition(key="at", range=models.Range(lt=at))


def ids(points: Sequence[str]) -> list[models.ExtendedPointId]:
    """Return ids of points as Qdrant's client types them."""
    return cast("list[models.ExtendedPointId]", list(points))


def _past(now: float) -> models.FieldCondition:
    return models.FieldCondition(key="expires_at", range=models.Range(lte=now))


def _without(field: str) -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
