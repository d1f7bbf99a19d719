"""Tags of a repository that fit a version; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TAG = re.compile(
    r"""
    (?:(?P<name>@?[a-z][\w./@+-]*?) (?:==|[-_@/]) )??   # the package, in a monorepo
    (?:(?:releases?|rel|version|ver)[-_/.]?)?
    (?P<glued>[a-z]+?)??                                  # `go1.21`
    v?
    (?P<numbers>\d+(?:[._]\d+)*)
    (?P<stage>(?:[-._]?(?:alpha|beta|canary|preview|pre|dev|next|nightly|post|rc|a|b|c)
               (?:[-._]?\d+)*)*)
    (?:[-_.](?:release|final|ga|stable|lts))?
    (?:\+[\w.]+)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_OPEN = re.compile(r"[._-]?[x*]\b.*", re.IGNORECASE)
"""Rest of `5.x`, `1.2.*`."""

_STAGES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_WORD = re.compile(r"[a-z]+|\d+")
_OWN_VERSION = re.compile(r"\d+(?:[._]\d+)*[^/@]*$")
"""Version at the end of a tag, behind the name of a package."""

_LONGEST = 200
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class TaggedVersion:
    """Version that a tag, or a user, names.

    `name` is the package, empty where there is none; `numbers` has no zeros at its end; `stage`
    is empty for a release, else such as `("rc", "000000001")`, which sorts.
    """

    name: str
    numbers: tuple[int, ...]
    stage: tuple[str, ...]

    @property
    def is_release(self) -> bool:
        """It is a release, or a later build of one."""
        return not self.stage or self.stage[0] == "post"


def read_tag(tag: str) -> TaggedVersion | None:
    """Read a tag or a version in one of the usual forms; None for any other."""
    found = _TAG.fullmatch(tag) if len(tag) <= _LONGEST else None
    if found is None:
        return None
    numbers = [int(each) for each in re.findall(r"\d{1,18}", found["numbers"])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    name = found["name"] or found["glued"] or ""
    return TaggedVersion(_plain(name), tuple(numbers), _stage(found["stage"]))


def version_of_tag(tag: str, wanted: str) -> str:
    """Return the version that a tag which fits `wanted` is of: `wanted`, or a longer one."""
    found, asked = read_tag(tag), read_tag(wanted)
    if found is None or found == asked or (asked and found.numbers == asked.numbers):
        return wanted
    own = _OWN_VERSION.search(tag)
    return own[0] if own else wanted


def fitting_tag(tags: Iterable[str], version: str, package: str) -> str | None:
    """Return the tag of a version, None if there is none.

    The version itself precedes; `1.2` and `1.x` also mean the highest release that begins so. A
    tag that names a package has to name `package`, as `create-vite@5.0.0` is not `vite`; one that
    names none precedes.
    """
    wanted = read_tag(_OPEN.sub("", version))
    if wanted is None:
        return None
    read = {tag: found for tag in tags if (found := read_tag(tag))}
    ours = {tag: found for tag, found in read.items() if _is_of(found.name, package)}
    return _exact(ours, wanted) or _highest_below(ours, wanted)


def _exact(tags: dict[str, TaggedVersion], wanted: TaggedVersion) -> str | None:
    same = [
        tag
        for tag, found in tags.items()
        if (found.numbers, found.stage) == (wanted.numbers, wanted.stage)
    ]
    return min(same, key=lambda tag: (bool(tags[tag].name), len(tag), tag), default=None)


def _highest_below(tags: dict[str, TaggedVersion], wanted: TaggedVersion) -> str | None:
    """Return the highest release whose numbers begin with those that are wanted."""
    count = len(wanted.numbers)
    if wanted.stage or not count:
        return None
    below = [tag for tag, found in tags.items() if found.numbers[:count] == wanted.numbers]
    return max(
        below,
        key=lambda tag: (
            tags[tag].is_release,
            tags[tag].numbers,
            tags[tag].stage,
            not tags[tag].name,
            tag,
        ),
        default=None,
    )


def _is_of(name: str, package: str) -> bool:
    wanted = _plain(package)
    return not name or name == wanted or name.rpartition("/")[2] == wanted.rpartition("/")[2]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-").strip("-/@")


def _stage(text: str) -> tuple[str, ...]:
    words = _WORD.findall(text.lower())
    return tuple(
        word.zfill(_DIGITS) if word.isdigit() else _STAGES.get(word, word) for word in words
    )
