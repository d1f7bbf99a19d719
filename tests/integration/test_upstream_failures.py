"""Failures of the API behind the real 4.1.1: passed on in its words, and never stored."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from context7_fabric.runtime.runtime import open_app
from support.catalogue import Catalogue
from support.client import Dialogue, outcome_of, talking, texts_of
from support.context7_api import Api
from support.faults import FAILURES
from support.product import PROGRAM, Variables, product_environment
from support.scripted import settings_for
from support.upstreams import api_environment

pytestmark = pytest.mark.either_mode

QUESTION = "How do I test a WebSocket?"
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def real(shared_api: Api, newest: list[str]) -> Iterator[Dialogue]:
    """The real server, asked directly."""
    with talking(newest, api_environment(shared_api)) as dialogue:
        yield dialogue


@pytest.fixture(scope="module")
def ours(upstream: Variables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialogue]:
    """The product in front of it; it does not remember that something was not found."""
    home = tmp_path_factory.mktemp("home")
    environment = product_environment(home, {**upstream, "CONTEXT7_FABRIC_NEGATIVE_TTL": "0s"})
    with talking([PROGRAM], environment) as dialogue:
        yield dialogue


LIMITS = ("rate limited", "rate limited, with Retry-After", "quota spent", "spending limit")
"""Failures that start a back-off."""


@pytest.mark.parametrize("name", [name for name in FAILURES if name not in LIMITS])
def test_a_failure_is_passed_on_in_the_real_servers_words_and_not_stored(
    api: Api, ours: Dialogue, real: Dialogue, name: str
) -> None:
    calls = known_only_to(api, name)
    api.fail(FAILURES[name])
    answers = [ours.call(tool, **arguments) for tool, arguments in calls]
    meant = [real.call(tool, **arguments) for tool, arguments in calls]
    assert [texts_of(each) for each in answers] == [visible(texts_of(each)) for each in meant]
    assert not any(each.get("isError") for each in (*answers, *meant))
    api.heal()
    for tool, arguments in calls:
        assert outcome_of(ours.call(tool, **arguments)) == "miss"
        assert outcome_of(ours.call(tool, **arguments)) == "hit"


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_passed_on_in_the_real_servers_words_and_respected_and_not_stored(
    api: Api, home: Path, upstream: Variables, real: Dialogue, name: str
) -> None:
    calls = known_only_to(api, name)
    api.fail(FAILURES[name])
    with talking([PROGRAM], product_environment(home, upstream)) as dialogue, api.gate() as gate:
        # Both at once, because after the first refusal nothing goes out any more.
        numbers = [
            dialogue.start("tools/call", name=tool, arguments=arguments)
            for tool, arguments in calls
        ]
        gate.wait_for(2)
        gate.release()
        answers = [dialogue.reply(number) for number in numbers]
        meant = [real.call(tool, **arguments) for tool, arguments in calls]
        assert [each["content"] for each in answers] == [each["content"] for each in meant]
        assert not any(each.get("isError") for each in (*answers, *meant))
        api.heal()
        asked = api.calls
        for tool, arguments in calls:
            (text,) = texts_of(dialogue.call(tool, **arguments))
            assert "is not asked for another" in text
            assert text_in(meant[0]) in text
        assert api.calls == asked
    assert anyio.run(stored, home) == 0


def visible(texts: list[str]) -> list[str]:
    """Texts without the control characters that are no tabs and no ends of lines."""
    return [CONTROLS.sub("", text) for text in texts]


def text_in(result: dict[str, Any]) -> str:
    """Return the text of a result without its full stop."""
    return texts_of(result)[0].rstrip(".")


async def stored(home: Path) -> int:
    """Return the number of stored answers of upstream in a home."""
    async with open_app(settings_for(home, UPSTREAM="off")) as app:
        return sum((await app.services.answer_store.counts()).values())


def known_only_to(api: Api, name: str) -> list[tuple[str, dict[str, Any]]]:
    """A look-up and a question about a library that nothing stored by another test is like."""
    word = hashlib.sha256(name.encode()).hexdigest()[:16]
    library = dataclasses.replace(
        api.catalogue.libraries[0], id=f"/{word}/{word}", title=word, description=word, names=()
    )
    api.catalogue = Catalogue((library,))
    return [
        ("resolve-library-id", {"libraryName": library.title, "query": QUESTION}),
        ("query-docs", {"libraryId": library.id, "query": QUESTION}),
    ]
