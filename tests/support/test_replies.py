"""The stand-in's true replies differ exactly where a test needs to see a difference."""

import json

import pytest

from support.faults import Reply
from support.replies import Call, World, reply_to

FASTAPI = "/fastapi/fastapi"
QUESTION = "How do I test a WebSocket?"
DASHES = "\n\n--------------------------------\n\n### "


@pytest.fixture
def world() -> World:
    return World()


def context(world: World, library_id: str = FASTAPI, **query: str) -> Reply:
    asked = {"libraryId": library_id, "query": QUESTION, **query}
    return reply_to(Call("/api/v2/context", asked, None), world)


def search(world: World, name: str) -> list[str]:
    call = Call("/api/v2/libs/search", {"libraryName": name, "query": QUESTION}, None)
    return [entry["id"] for entry in json.loads(reply_to(call, world).body)["results"]]


def test_each_question_each_revision_and_each_version_has_a_text_of_its_own(world: World) -> None:
    texts = [
        context(world),
        context(world, query="Deploy with workers"),
        context(world, f"{FASTAPI}/0.116.1"),
    ]
    world.revision = 2
    texts.append(context(world))
    assert len({text.body for text in texts}) == 4


@pytest.mark.parametrize("joint", ["/", "@"])
def test_a_version_is_served_when_the_library_has_it(world: World, joint: str) -> None:
    found, missing = (context(world, f"{FASTAPI}{joint}{each}") for each in ("0.116.1", "9.9"))
    assert b"/blob/0.116.1/" in found.body
    assert missing.status == 404
    assert json.loads(missing.body)["message"] == (
        f'Version "9.9" not found for library "{FASTAPI}".'
        " Available versions: 0.115.13, 0.116.1, 0.128.0"
    )


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("fast api", FASTAPI),
        ("Next.js", "/vercel/next.js"),
        ("react query", "/tanstack/query"),
        ("REACT", "/reactjs/react.dev"),
    ],
)
def test_names_are_found_however_they_are_spelt(world: World, name: str, first: str) -> None:
    assert search(world, name)[0] == first
