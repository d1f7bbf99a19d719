"""May this text be stored? Only if it reads, wholly, as what was asked for.

Admission is a positive test: it looks for lists and snippets, never for errors. Why a text was
refused is for `refusals` to say, and has no say in the decision. Screening comes before, at the
caller's.
"""

from __future__ import annotations

from context7_fabric.documents.libraries import LibraryList, parse_list
from context7_fabric.documents.refusals import Reason, Refusal, refusal
from context7_fabric.documents.snippets import Snippet, parse_snippets

__all__ = ["MAX_LENGTH", "Reason", "Refusal", "admit_docs", "admit_list"]

MAX_LENGTH = 2_000_000
"""Longest text that is admitted, in characters."""


def admit_list(text: str) -> LibraryList | Refusal:
    """Return the list of libraries that `text` is, or why it is none."""
    found = parse_list(text) if len(text) <= MAX_LENGTH else None
    return found or refusal(text)


def admit_docs(text: str) -> tuple[Snippet, ...] | Refusal:
    """Return the snippets that `text` is, or why it is no documentation."""
    found = parse_snippets(text) if len(text) <= MAX_LENGTH else ()
    return found or refusal(text)
