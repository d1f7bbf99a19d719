"""Names that a look-up's list is stored under, and the registry's row that it means.

A list is stored under the name asked for and, when the registry knows which row that name means,
under the row as well: so every spelling of a row finds what any spelling has fetched.
"""

from __future__ import annotations

from context7_fabric.models import Question
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.readings import languages_in
from context7_fabric.registry.registry import Registry


def names_of(look_up: Question, registry: Registry) -> tuple[str, ...]:
    """Return the names that the list and the choice of a look-up are stored under, likeliest first.

    They are the row that `registry` knows to be meant by now, and the name as asked, which is the
    only one before the registry is loaded. A language that only the question names is part of it
    where it makes a difference: it contradicts the row, or distinguishes one of several.
    """
    plain = name_key(look_up.library)
    match = registry.find(look_up.library, look_up.text)
    hints = languages_in(look_up.text)
    if hints is not None and (match is None) != (registry.find(look_up.library) is None):
        plain = f"{plain}|{'+'.join(sorted(hints))}"
    row = () if match is None else (f"{match.row.ecosystem}:{match.row.name}",)
    return tuple(dict.fromkeys((*row, plain)))


def needs_registry(look_up: Question) -> bool:
    """Tell whether the plain name alone could find the wrong list: the question has a say."""
    return languages_in(look_up.text) is not None


def agrees(look_up: Question, library_id: str, registry: Registry) -> bool:
    """Tell whether the languages that the question names permit a library to be meant."""
    hints, row = languages_in(look_up.text), registry.row(library_id)
    return hints is None or row is None or not row.ecosystem or row.ecosystem in hints
