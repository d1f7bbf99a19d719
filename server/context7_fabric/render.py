"""Texts that we put together: the short form of a list, a seed's entry, a page off the shelf."""

from __future__ import annotations

from collections.abc import Sequence

from context7_fabric.parsing.libraries import RULE, Library, LibraryList
from context7_fabric.parsing.snippets import Snippet, join_snippets

HEADER = "Available Libraries:\n\n"
_RULED = f"\n{RULE}\n"
MOST_OTHERS = 9
"""How many other ids the short form of a list names before it only counts."""


def short_list(found: LibraryList, shown: Sequence[Library]) -> str:
    """Return the short form of a list: the entries `shown` in full, the other ids in one line."""
    ids = {library.id for library in shown}
    others = [library.id for library in found.libraries if library.id not in ids]
    note = f"{found.note}\n\n" if found.note else ""
    text = note + _RULED.join(library.text for library in shown)
    return f"{text}\n- Also matching: {_some(others)}" if others else text


def _some(ids: Sequence[str]) -> str:
    # Without blanks, and without a heading above the entry: each id costs a token less to read.
    shown = ",".join(ids[:MOST_OTHERS])
    more = len(ids) - MOST_OTHERS
    return f"{shown} and {more} more" if more > 0 else shown


def entries(libraries: Sequence[Library]) -> str:
    """Return libraries of our own knowledge in the form of upstream's list."""
    return HEADER + _RULED.join(library.text for library in libraries)


def page(snippets: Sequence[Snippet]) -> str:
    """Return snippets in the form of upstream's documentation."""
    return join_snippets(snippets)


def no_further_page(library_id: str, number: int) -> str:
    """Return the one line that answers a page which is not there."""
    return f"There is no page {number} on this topic for {library_id}: earlier pages had it all."
