"""Versions and ages of docsets: their order, the choice of a docset, its freshness. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from context7_fabric.docsets.models import Docset

_FORM = re.compile(r"v?(?P<numbers>\d{1,18}(?:[._]\d{1,18})*)(?P<rest>.*)", re.DOTALL)
_SERIES = re.compile(r"v?(?P<numbers>\d{1,18}(?:[._]\d{1,18})*)(?:[._][x*])*")
_PARTS = re.compile(r"[^\W\d_]+|\d{1,18}")
_NEWEST = "latest"
_FULL = 3
"""Numbers of a version that is no series of others: major, minor and patch."""

DAY = 86400.0

FALLBACK_SECONDS = 365 * DAY
"""Time without a successful comparison with its source after which a docset without a version
answers only where Context7 cannot."""

_AHEAD_SECONDS = 300.0
"""Lead of a time over the clock that is not believed: the clock was wrong when it was written."""

_WORDS = {"a": "alpha", "b": "beta", "c": "rc", "pre": "rc", "preview": "rc", "r": "post"} | {
    "rev": "post"
}
_OF_RELEASES = frozenset({"final", "ga", "release"})
_DEV, _PRE, _RELEASE, _POST = range(4)
_END = (1, 0, "")

_Part: TypeAlias = tuple[int, int, str]
VersionKey: TypeAlias = tuple[tuple[int, ...], int, tuple[_Part, ...]]
"""Sort key of a version: its numbers, its stage, and the parts behind the numbers."""


def version_key(text: str) -> VersionKey | None:
    """Return the sort key of a version; None for a word such as `canary`, which has no order.

    The order is that of PEP 440 and of Semantic Versioning where both have one: development
    releases, then pre-releases, the release, its post-releases. A leading `v`, zeros at the end
    and what follows a `+` do not count.
    """
    form = _FORM.fullmatch(text.strip().lower().partition("+")[0])
    if form is None:
        return None
    words = [_WORDS.get(part, part) for part in _PARTS.findall(form["rest"])]
    parts = tuple(_part(word) for word in words if word not in _OF_RELEASES)
    return _numbers(form["numbers"]), _stage(parts), (*parts, _END)


def choose(asked: str | None, held: Sequence[Docset]) -> Docset | None:
    """Return the docset among those of one library that answers for the version `asked`.

    Without a version (or for `latest`) it is the docset without one, else the newest release. A
    version selects the docset of that very version, and a series (`5.x`, `5`, `5.2`) without one
    its newest release. Pre-releases are chosen where there is no release. None if there is none.
    """
    if asked is None or asked.strip().lower() == _NEWEST:
        return next((each for each in held if each.version is None), None) or _newest(held)
    exact = [each for each in held if each.version is not None and are_same(each.version, asked)]
    return exact[0] if exact else _newest([each for each in held if _is_within(each, asked)])


def nearest_lower(asked: str | None, held: Sequence[Docset]) -> Docset | None:
    """Return the docset with the highest version below the one `asked`, None if there is none.

    Pre-releases are chosen where there is no release.
    """
    key = None if asked is None else version_key(_without_wildcards(asked))
    if key is None:
        return None
    return _newest([each for each in held if (own := _key(each)) is not None and own < key])


def not_above(asked: str, known: Iterable[str]) -> str | None:
    """Return the version among those `known` that is the one `asked`, else the nearest lower one.

    It is returned as it is spelled there. Pre-releases are chosen where there is no release; a
    version without an order is found in its own spelling only. None if there is no such version.
    """
    listed = list(known)
    exact = next((each for each in listed if are_same(each, asked)), None)
    own = version_key(asked)
    if exact is not None or own is None:
        return exact
    keyed = [(key, each) for each in listed if (key := version_key(each)) is not None and key < own]
    ranked = max(keyed, key=lambda pair: (pair[0][1] >= _RELEASE, pair[0]), default=None)
    return None if ranked is None else ranked[1]


def is_due(docset: Docset, now: float, fresh: float) -> bool:
    """Tell whether a docset is to be compared with its source again.

    That is one without a version, `fresh` seconds after the last time; `now` is in epoch seconds.
    A version does not change.
    """
    age = now - docset.checked_at
    return docset.version is None and not -_AHEAD_SECONDS <= age < fresh


def only_falls_back(docset: Docset, now: float) -> bool:
    """Tell whether a docset is too old to answer before Context7 does; `now` in epoch seconds."""
    return docset.version is None and now - docset.checked_at >= FALLBACK_SECONDS


def _part(word: str) -> _Part:
    if word.isdecimal():
        return (2, int(word), "")
    return (0, 0, word) if word == "dev" else (3, 0, word)


def _stage(parts: Sequence[_Part]) -> int:
    first = parts[0][2] if parts else None
    if first is None:
        return _RELEASE
    return {"dev": _DEV, "post": _POST}.get(first, _PRE)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.split(r"[._]", text)]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _key(docset: Docset) -> VersionKey | None:
    return None if docset.version is None else version_key(docset.version)


def are_same(one: str, other: str) -> bool:
    """Tell whether two versions are one; those without an order are if they are spelled alike."""
    first, second = version_key(one), version_key(other)
    if first is None or second is None:
        return one.strip().lower() == other.strip().lower()
    return first == second


def _is_within(docset: Docset, asked: str) -> bool:
    """Tell whether a docset's version belongs to the series that was asked for."""
    series, key = _SERIES.fullmatch(asked.strip().lower()), _key(docset)
    if series is None or key is None:
        return False
    wanted = [int(number) for number in re.split(r"[._]", series["numbers"])]
    own = (*key[0], *([0] * len(wanted)))[: len(wanted)]
    return len(wanted) < _FULL and list(own) == wanted


def _without_wildcards(asked: str) -> str:
    return re.sub(r"([._][x*])+$", "", asked.strip().lower())


def _newest(held: Sequence[Docset]) -> Docset | None:
    """Return the docset with the highest release, else with the highest pre-release."""
    keyed = [(key, each) for each in held if (key := _key(each)) is not None]
    if not keyed:
        return None
    return max(keyed, key=lambda pair: (pair[0][1] >= _RELEASE, pair[0]))[1]
