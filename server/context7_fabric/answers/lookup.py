"""What a look-up is about: the keys its list may lie under, and the registry's row if one is meant.

A list lies under the name asked for and, when the registry knows which row that name means,
under the row as well: so every spelling of a row finds what any spelling has fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.answers.stored import list_key
from context7_fabric.models import Tier
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.matching import NameMatch
from context7_fabric.registry.readings import languages_in
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row


@dataclass(frozen=True, slots=True)
class LibraryQuery:
    """A name to resolve, and what it is wanted for (may be empty)."""

    name: str
    question: str = ""


@dataclass(frozen=True, slots=True)
class LookupKeys:
    """`plain` is the name as asked, `match` the row it means; `keys` where its list may lie."""

    plain: str
    match: NameMatch[Row] | None = None

    @property
    def name(self) -> str:
        """The row that is meant, else the plain name."""
        return self.plain if self.match is None else f"{self.match.row.ecosystem}:{self._row_name}"

    @property
    def names(self) -> tuple[str, ...]:
        """What choices are remembered under; the plain name too, for before the registry loads."""
        return tuple(dict.fromkeys((self.name, self.plain)))

    @property
    def keys(self) -> tuple[str, ...]:
        """The fabric keys of the list, the likeliest first."""
        return tuple(list_key(name) for name in self.names)

    @property
    def tier(self) -> Tier:
        """How the stored list was found."""
        return Tier.ALIAS if self.match is not None and self.match.tier == "alias" else Tier.NAME

    @property
    def _row_name(self) -> str:
        return "" if self.match is None else self.match.row.name


def subject_of(look_up: LibraryQuery, registry: Registry) -> LookupKeys:
    """Return what `look_up` is about, as far as `registry` knows by now.

    A language that only the question names sets the subject apart where it makes a difference: it
    contradicts the row, or tells one of several apart.
    """
    plain = name_key(look_up.name)
    match = registry.find(look_up.name, look_up.question)
    unguided = registry.find(look_up.name)
    hints = languages_in(look_up.question)
    if (match is None) != (unguided is None) and hints is not None:
        plain = f"{plain}|{'+'.join(sorted(hints))}"
    return LookupKeys(plain, match)


def needs_registry(look_up: LibraryQuery) -> bool:
    """Tell whether the plain name alone could find the wrong list: the question has a say."""
    return languages_in(look_up.question) is not None


def agrees(look_up: LibraryQuery, library_id: str, registry: Registry) -> bool:
    """Tell whether a library may be meant for all that the question says of the language."""
    hints, row = languages_in(look_up.question), registry.row(library_id)
    return hints is None or row is None or not row.ecosystem or row.ecosystem in hints
