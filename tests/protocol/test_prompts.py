"""Prompts as clients of every era list and get them."""

import anyio
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from context7_fabric.mcp_server.prompts import LONGEST_FILLED, VERSION_KEY
from context7_fabric.runtime.app import App
from context7_fabric.views.prompts import LONGEST
from support.app_server import MODES, connected

SHIPPED = ["compare-libraries", "upgrade-dependency", "use-library"]


def text_of(result: types.GetPromptResult) -> str:
    """Return the text of the one message."""
    (message,) = result.messages
    assert message.role == "user"
    assert isinstance(message.content, types.TextContent)
    return message.content.text


@pytest.mark.parametrize("mode", MODES)
async def test_the_shipped_prompts_are_listed_with_their_arguments(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        prompts = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in prompts] == SHIPPED
    for prompt in prompts:
        assert prompt.title
        assert prompt.description
        assert prompt.arguments
        assert all(each.required and each.description for each in prompt.arguments)


@pytest.mark.parametrize("mode", MODES)
async def test_a_stored_prompt_is_listed_and_given_out(app: App, mode: str) -> None:
    metadata = {"description": "Greets.", "version": "7", "arguments": {"who": "whom"}}
    await app.fabric.set_context("prompt:greet", "Hello {who}, {{ok}}", metadata=metadata)  # type: ignore[arg-type]
    async with connected(app, mode) as client:
        listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        given = {"who": "{World}", "unknown": "x"}
        result = await client.get_prompt("greet", given)
    assert text_of(result) == "Hello {World}, {ok}"
    assert result.description == listed["greet"].description == "Greets."
    assert listed["greet"].meta == {VERSION_KEY: "7"}
    assert listed["greet"].arguments == [
        types.PromptArgument(name="who", description="whom", required=True)
    ]


async def test_a_routers_prompt_keeps_its_key_as_its_name(app: App) -> None:
    await app.fabric.set_context("router:main:system_message", "Route well.")
    async with connected(app) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        result = await client.get_prompt("router:main:system_message")
    assert "router:main:system_message" in names
    assert text_of(result) == "Route well."


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        ("nobody", {}, "Prompt nobody not found"),
        ("use-library", {"task": "x"}, "Prompt use-library lacks library"),
        ("use-library", {}, "Prompt use-library lacks library, task"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(
    app: App, mode: str, name: str, given: dict[str, str], problem: str
) -> None:
    async with connected(app, mode) as client:
        with pytest.raises(MCPError) as told:
            await client.get_prompt(name, given)
    assert (told.value.code, told.value.message) == (types.INVALID_PARAMS, problem)


async def test_a_prompt_that_is_too_long_is_listed_and_not_given_out(app: App) -> None:
    await app.fabric.set_context("prompt:long", "é" * (LONGEST // 2) + "x")
    await app.fabric.set_context("prompt:just", "é" * (LONGEST // 2))
    async with connected(app) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        just = await client.get_prompt("just")
        with pytest.raises(MCPError, match="long is too long: it takes 100,001 bytes") as told:
            await client.get_prompt("long")
    assert names == ["compare-libraries", "just", "long", "upgrade-dependency", "use-library"]
    assert len(text_of(just)) == LONGEST // 2
    assert told.value.code == types.INVALID_PARAMS


async def test_arguments_cannot_blow_a_prompt_up(app: App) -> None:
    await app.fabric.set_context("prompt:many", "{a}" * 1000)
    async with connected(app) as client:
        fits = await client.get_prompt("many", {"a": "x" * (LONGEST_FILLED // 1000)})
        with pytest.raises(MCPError, match="gets too long with these arguments"):
            await client.get_prompt("many", {"a": "x" * (LONGEST_FILLED // 1000 + 1)})
    assert len(text_of(fits)) == LONGEST_FILLED


@pytest.mark.parametrize("mode", MODES)
async def test_a_changed_prompt_counts_from_the_next_request_on(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        for text in ("first", "second"):
            await app.fabric.set_context("prompt:use-library", text)
            assert text_of(await client.get_prompt("use-library")) == text
        await app.fabric.delete_context("prompt:use-library")
        with pytest.raises(MCPError, match="lacks library, task"):
            await client.get_prompt("use-library")


@pytest.mark.parametrize("mode", MODES)
async def test_many_prompts_come_in_pages(app: App, mode: str) -> None:
    wanted = sorted([*SHIPPED, *(f"p{number:03}" for number in range(150))])
    async with anyio.create_task_group() as tasks:
        for name in wanted:
            if name.startswith("p"):
                tasks.start_soon(app.fabric.set_context, f"prompt:{name}", "text")
    async with connected(app, mode) as client:
        first = await client.list_prompts()
        second = await client.list_prompts(cursor=first.next_cursor)
    assert len(first.prompts) == 100
    assert [prompt.name for prompt in (*first.prompts, *second.prompts)] == wanted
    assert second.next_cursor is None
