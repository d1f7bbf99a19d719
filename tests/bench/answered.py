"""Answers that nobody asked for: as long as Context7's, stored as the product stores them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from random import Random
from typing import cast

from context7_fabric.answers.stored import RecordFactory, docs_key
from context7_fabric.fabric.context import Json
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import question_key
from context7_fabric.privacy.principals import owned
from context7_fabric.settings.values import DEFAULT_UPSTREAM
from support.documents import Edition, context_text
from support.scripted import LIBRARY

LEAST, MOST = 5_000, 7_000
"""Characters of an answer: what Context7 sends to a question."""

WIDGETS = 997
"""Libraries that the answers are about."""


def library_of(number: int) -> LibraryId:
    """Return the library that an answer is about."""
    return LibraryId("widgets", f"widget{number % WIDGETS}")


def question(number: int) -> str:
    """Return the question of an answer."""
    return f"How do I turn number{number:x} around?"


def answers(numbers: range) -> Iterator[tuple[str, Json]]:
    """Yield answers as they are stored, with their keys."""
    whole, chance = longest_text(), Random(5)  # noqa: S311  # no secret
    for number in numbers:
        text = whole[: chance.randint(LEAST, MOST)]
        yield stored(library_of(number), question(number), text)


def longest_text() -> str:
    """Return an answer of the greatest length."""
    said = context_text(Edition(library=LIBRARY, version=None, revision=1), "widgets")
    return (said * (MOST // len(said) + 1))[:MOST]


def stored(library: LibraryId, asked: str, text: str) -> tuple[str, Json]:
    """Return an answer as it is stored, with its key."""
    key = docs_key(question_key(library, asked, mode="any", page=1))
    record = RecordFactory(time.time, DEFAULT_UPSTREAM).answer(text, str(library), asked, PUBLIC)
    return owned(key, PUBLIC), cast("Json", asdict(record))
