"""Completion of the parameters in addresses: visible values that begin so."""

from __future__ import annotations

from pathlib import Path

import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from context7_fabric.fabric.context import Scope
from context7_fabric.privacy.principals import owned
from context7_fabric.runtime.app import App
from support.app_server import MODES, call, connected
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

ENTRY, INDEX = "fabric://{scope}/{key}", "fabric://{scope}{?after}"
SEARCH, LIBRARY = "library://registry{?q}", "library://{org}/{project}"


async def complete(
    client: Client, template: str, name: str, begun: str, **given: str
) -> types.Completion:
    """Return what is proposed for a parameter of a template."""
    ref = types.ResourceTemplateReference(uri=template)
    result = await client.complete(ref, {"name": name, "value": begun}, context_arguments=given)
    return result.completion


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("begun", "values"), [("", list(Scope)), ("e", ["EXECUTION"]), ("US", ["USER"]), ("x", [])]
)
async def test_scopes_are_completed(app: App, mode: str, begun: str, values: list[str]) -> None:
    async with connected(app, mode) as client:
        completed = await complete(client, ENTRY, "scope", begun)
    assert (completed.values, completed.total, completed.has_more) == (values, len(values), False)


@pytest.mark.parametrize(("template", "name"), [(ENTRY, "key"), (INDEX, "after")])
async def test_keys_of_the_scope_are_completed_newest_first_and_those_of_others_are_not(
    tmp_path: Path, template: str, name: str
) -> None:
    clock = FakeClock()
    async with scripted_app(ScriptedUpstream(), clock, tmp_path, PRINCIPAL="me") as app:
        for key in ("note/1", owned("note/2", app.principal), owned("note/3", "name-other"), "no"):
            clock.forward(1)
            await app.fabric.set_context(key, 1)
        await app.fabric.set_context("note/4", 1, Scope.USER)
        async with connected(app) as client:
            completed = await complete(client, template, name, "note/", scope="GLOBAL")
            unscoped = await complete(client, template, name, "note/")
    assert completed.values == ["note/2#name-me", "note/1"]
    assert unscoped.values == []


async def test_complete_with_many_values_proposes_a_hundred_and_says_there_are_more(
    app: App,
) -> None:
    for number in range(101):
        await app.fabric.set_context(f"k{number}", 1, Scope.USER)
    async with connected(app) as client:
        some = await complete(client, ENTRY, "key", "k", scope="USER")
        all_of_them = await complete(client, ENTRY, "key", "k1", scope="USER")
    assert (len(some.values), some.total, some.has_more) == (100, None, True)
    assert (len(all_of_them.values), all_of_them.total, all_of_them.has_more) == (12, 12, False)


async def test_libraries_are_completed_by_their_ids_and_names(app: App) -> None:
    await app.services.registry.loaded.wait()
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="widget", query="x")
        orgs = await complete(client, LIBRARY, "org", "WIDG")
        projects = await complete(client, LIBRARY, "project", "widget", org="widgets")
        elsewhere = await complete(client, LIBRARY, "project", "widget", org="others")
        names = await complete(client, SEARCH, "q", "widgets/widget1")
    assert orgs.values == ["widgets"]
    assert projects.values == [f"widget{number}" for number in range(1, 6)]
    assert elsewhere.values == []
    assert names.values == ["widgets/widget1"]


@pytest.mark.parametrize(
    ("template", "name"), [("file:///{path}", "path"), (ENTRY, "org"), (SEARCH, "scope")]
)
async def test_a_parameter_that_no_template_has_is_an_error(
    app: App, template: str, name: str
) -> None:
    async with connected(app) as client:
        with pytest.raises(MCPError) as raised:
            await complete(client, template, name, "")
    assert raised.value.code == types.INVALID_PARAMS


async def test_arguments_of_prompts_have_no_proposals(app: App) -> None:
    async with connected(app) as client:
        ref = types.PromptReference(name="any")
        result = await client.complete(ref, {"name": "any", "value": ""})
    assert result.completion.values == []
