"""Prompts: stored ones and shipped ones, each visible to its principals."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from threading import current_thread, main_thread

import pytest

from context7_fabric.errors import SeedError
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.seed_files import PromptSeed
from context7_fabric.views.prompts import PAGE, Prompt, PromptArgument, PromptLibrary
from unit.fabric.fakes import Broken, FakeClock

BAKE = PromptSeed("bake", "Bake", "Bakes.", "Bake {what}.", {"what": "what is baked"})
SHIPPED = Prompt(
    "bake", "Bake {what}.", "Bakes.", (PromptArgument("what", "what is baked"),), "Bake"
)


@pytest.fixture
async def fabric() -> AsyncIterator[Fabric]:
    async with Fabric(MemoryBackend(), FakeClock()) as fabric:
        yield fabric


def book(fabric: Fabric, *seeds: PromptSeed, principal: str = "") -> PromptLibrary:
    return PromptLibrary(fabric, Viewer(principal), lambda: seeds)


async def names(book: PromptLibrary) -> list[str]:
    prompts, further = await book.page()
    assert further is None
    return [prompt.name for prompt in prompts]


async def test_stored_and_shipped_prompts_are_listed_by_name(fabric: Fabric) -> None:
    for key in ("prompt:zeal", "router:main:system_message", "router:main:note", "note:x"):
        await fabric.set_context(key, "text")
    await fabric.set_context("prompt:not-global", "text", "USER")
    assert await names(book(fabric, BAKE)) == ["bake", "router:main:system_message", "zeal"]


async def test_find_of_a_stored_prompt_returns_its_metadata(fabric: Fabric) -> None:
    metadata: dict[str, Json] = {
        "description": "Greets.",
        "title": "Greeting",
        "version": 1.5,
        "arguments": {"who": "whom to greet", "other": "of no use"},
    }
    await fabric.set_context("prompt:greet", "Greet {who} in {language}.", metadata=metadata)
    assert await book(fabric).find("greet") == Prompt(
        name="greet",
        text="Greet {who} in {language}.",
        description="Greets.",
        arguments=(PromptArgument("who", "whom to greet"), PromptArgument("language")),
        title="Greeting",
        version="1.5",
    )


async def test_a_prompt_without_metadata_has_a_description_and_a_version(fabric: Fabric) -> None:
    for text in ("once", "twice"):
        await fabric.set_context("prompt:greet", text)
    greet = await book(fabric).find("greet")
    assert greet == Prompt("greet", "twice", "The stored prompt greet.", (), version="2")


async def test_metadata_of_another_form_are_left_out(fabric: Fabric) -> None:
    metadata: dict[str, Json] = {
        "description": ["x"],
        "title": True,
        "version": None,
        "arguments": ["who"],
    }
    await fabric.set_context("prompt:greet", "{who}", metadata=metadata)
    greet = await book(fabric).find("greet")
    expected = Prompt(
        "greet", "{who}", "The stored prompt greet.", (PromptArgument("who"),), version="1"
    )
    assert greet == expected


async def test_find_of_a_value_that_is_no_text_returns_json(fabric: Fabric) -> None:
    await fabric.set_context("prompt:greet", {"say": "é {who}"})
    greet = await book(fabric).find("greet")
    assert greet is not None
    assert greet.text == '{\n  "say": "é {who}"\n}'
    assert greet.arguments == (PromptArgument("who"),)


async def test_find_of_a_lone_surrogate_replaces_it(fabric: Fabric) -> None:
    await fabric.set_context("prompt:greet", "\ud800!", metadata={"title": "\udfff"})
    greet = await book(fabric).find("greet")
    assert greet is not None
    assert (greet.text, greet.title, greet.size) == ("?!", "?", 2)


async def test_find_of_a_stored_prompt_overrides_a_shipped_one(fabric: Fabric) -> None:
    prompts = book(fabric, BAKE)
    assert await prompts.find("bake") == SHIPPED
    await fabric.set_context("prompt:bake", "Fry.")
    found = await prompts.find("bake")
    assert found is not None
    assert found.text == "Fry."
    assert await names(prompts) == ["bake"]
    await fabric.delete_context("prompt:bake")
    assert await prompts.find("bake") == SHIPPED


@pytest.mark.parametrize("name", ["", "unknown", "router:main:note", "prompt:greet"])
async def test_there_is_no_prompt_by_another_name(fabric: Fabric, name: str) -> None:
    for key in ("prompt:greet", "router:main:note", "prompt:"):
        await fabric.set_context(key, "text")
    assert await book(fabric).find(name) is None
    assert await names(book(fabric)) == ["greet"]


async def test_a_prompt_of_one_principal_is_hidden_from_others(fabric: Fabric) -> None:
    await fabric.set_context("prompt:secret#alice", "text")
    await fabric.set_context("prompt:noted", "text", metadata={"principal": "alice"})
    alice = book(fabric, principal="alice")
    assert await names(alice) == ["noted", "secret#alice"]
    for other in ("", "bob"):
        prompts = book(fabric, principal=other)
        assert await names(prompts) == []
        assert await prompts.find("noted") is None
        assert await prompts.find("secret#alice") is None


async def test_a_long_list_comes_in_pages_that_miss_nothing(fabric: Fabric) -> None:
    wanted = [f"p{number:03}" for number in range(2 * PAGE + 1)]
    for name in reversed(wanted):
        await fabric.set_context(f"prompt:{name}", "text")
    prompts, listed, after = book(fabric), list[str](), None
    sizes = []
    while True:
        page, after = await prompts.page(after)
        listed += [prompt.name for prompt in page]
        sizes.append(len(page))
        if after is None:
            break
    assert listed == wanted
    assert sizes == [PAGE, PAGE, 1]


async def test_shipped_prompts_are_read_once_behind_the_event_loop(fabric: Fabric) -> None:
    threads = []

    def load() -> Sequence[PromptSeed]:
        threads.append(current_thread())
        return [BAKE]

    prompts = PromptLibrary(fabric, Viewer(), load)
    assert threads == []
    for _ in range(2):
        assert await names(prompts) == ["bake"]
    assert len(threads) == 1
    assert threads[0] is not main_thread()


async def test_a_file_that_cannot_be_used_leaves_the_stored_prompts(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Sequence[PromptSeed]:
        raise SeedError("prompts.yaml", "is empty")

    await fabric.set_context("prompt:greet", "text")
    with caplog.at_level(logging.WARNING):
        assert await names(PromptLibrary(fabric, Viewer(), load)) == ["greet"]
    assert "prompts.yaml: is empty" in caplog.text


async def test_a_store_that_fails_leaves_the_shipped_prompts() -> None:
    async with Fabric(Broken(), FakeClock()) as fabric:
        prompts = book(fabric, BAKE)
        assert await names(prompts) == ["bake"]
        assert await prompts.find("bake") == SHIPPED
