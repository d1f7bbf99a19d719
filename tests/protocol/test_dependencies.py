"""The library that a project's dependency means, and calls within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest

from context7_fabric.daemon.app_commands import AppCommands
from context7_fabric.models import QUERY_DOCS, RESOLVE
from context7_fabric.project.dependencies import Dependency
from context7_fabric.project.manifests import Ecosystem
from context7_fabric.runtime.app import App
from support.scripted import FakeClock, ScriptedUpstream

Entry = tuple[str, str, str]
"""Title, id and description."""

REQUESTS = ("Requests", "/psf/requests", "HTTP for Humans.")
EXPRESS = ("Express", "/expressjs/express", "Minimalist web framework for Node.js.")
COLOURS = ("Colours", "/paint/colours", "Colours for the console of Node.js.")
PAINT = ("Colours", "/brush/colours", "Colours for Python programs.")
GIN = ("Gin", "/gin-gonic/gin", "Web framework.")
CHI = ("Chi", "/go-chi/chi", "Router.")
LARAVEL = ("Laravel", "/laravel/framework", "The framework.")
PUMA = ("Puma", "/puma/puma", "A Ruby web server built for parallelism.")


def listed(*entries: Entry) -> str:
    return "Available Libraries:\n\n" + "\n----------\n".join(
        f"- Title: {title}\n- Context7-compatible library ID: {library_id}\n"
        f"- Description: {description}\n- Code Snippets: 9\n- Versions: v1.2.3, v1.3.0"
        for title, library_id, description in entries
    )


async def asked(
    app: App,
    ecosystem: Ecosystem,
    name: str,
    repositories: Sequence[str] = (),
    calls: int = 1,
) -> dict[str, Any]:
    dependency = asdict(Dependency(ecosystem, name, None, "file"))
    return await AppCommands(app, app.settings).dependency(dependency, repositories, calls)


@pytest.mark.parametrize(
    ("ecosystem", "name", "entries", "repositories", "expected"),
    [
        ("python", "requests", [REQUESTS], [], "/psf/requests"),
        ("javascript", "requests", [REQUESTS], [], None),
        ("javascript", "express", [EXPRESS], [], "/expressjs/express"),
        ("python", "express", [EXPRESS], [], None),
        ("ruby", "requests", [REQUESTS], [], None),
        ("python", "colours", [COLOURS], [], None),
        ("javascript", "colours", [COLOURS], [], "/paint/colours"),
        ("python", "colours", [PAINT], [], "/brush/colours"),
        ("python", "colours", [PAINT, COLOURS], ["/brush/colours"], "/brush/colours"),
        ("python", "colours-extra", [PAINT], [], None),
        ("javascript", "@paint/console", [COLOURS], ["/paint/colours"], "/paint/colours"),
        ("python", "colours-extra", [REQUESTS], ["/elsewhere/x"], None),
        ("go", "github.com/gin-gonic/gin", [GIN], [], "/gin-gonic/gin"),
        ("go", "github.com/go-chi/chi/v7", [CHI], [], "/go-chi/chi"),
        ("go", "example.org/gin", [GIN], [], None),
        ("php", "laravel/framework", [LARAVEL], [], "/laravel/framework"),
        ("php", "other/framework", [LARAVEL], [], None),
        ("ruby", "puma", [PUMA], [], "/puma/puma"),
        ("php", "acme/puma", [PUMA], [], None),
        ("rust", "puma", [PUMA], [], None),
    ],
)
async def test_dependency_means_the_library_of_its_language_alone(
    app: App,
    upstream: ScriptedUpstream,
    ecosystem: Ecosystem,
    name: str,
    entries: Sequence[Entry],
    repositories: Sequence[str],
    expected: str | None,
) -> None:
    upstream.texts[RESOLVE] = listed(*entries)
    found = await asked(app, ecosystem, name, repositories)
    assert found["library_id"] == expected
    assert found["calls"] == len(upstream.calls) == 1
    again = await asked(app, ecosystem, name, repositories, calls=0)
    assert again["library_id"] == expected
    assert len(upstream.calls) == 1


async def test_dependency_without_a_stored_list_costs_nothing_with_no_calls(
    app: App, upstream: ScriptedUpstream
) -> None:
    found = await asked(app, "python", "requests", calls=0)
    assert (found["library_id"], found["is_open"], found["calls"]) == (None, True, 0)
    assert upstream.calls == []


async def test_dependency_that_context7_does_not_know_is_not_asked_for_again(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts[RESOLVE] = "No libraries found matching the provided name."
    await asked(app, "python", "zzqx")
    again = await asked(app, "python", "zzqx")
    assert (again["library_id"], again["is_open"]) == (None, False)
    assert len(upstream.calls) == 1


async def test_dependency_has_the_versions_and_the_stored_answers_of_its_library(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts[RESOLVE] = listed(REQUESTS)
    commands = AppCommands(app, app.settings)
    done = await commands.warm("/psf/requests/v1.2.3", "getting started", 1)
    assert (done["is_stored"], done["calls"]) == (True, 1)
    found = await asked(app, "python", "requests")
    assert found["versions"] == ["v1.2.3", "v1.3.0"]
    assert found["answers"] == [("/psf/requests/v1.2.3", "getting started")]


async def test_warm_follows_redirects_within_its_calls(
    app: App, upstream: ScriptedUpstream
) -> None:
    def say(tool: str, arguments: Any) -> str:  # noqa: ANN401  # as upstream gets them
        number = int(str(arguments["libraryId"]).rpartition("x")[2])
        return f"Library /a/x{number} has been redirected to this library: /a/x{number + 1}."

    upstream.say = say
    done = await AppCommands(app, app.settings).warm("/a/x1", "start", 2)
    assert not done["is_stored"]
    assert done["calls"] == len([each for each in upstream.calls if each.tool == QUERY_DOCS]) == 2


async def test_stale_answer_is_served_within_a_budget_and_not_refreshed_behind(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    commands = AppCommands(app, app.settings)
    await commands.warm("/psf/requests", "start", 1)
    clock.forward(8 * 86400)
    done = await commands.warm("/psf/requests", "start", 5)
    assert (done["is_stored"], done["calls"]) == (True, 0)
    assert app.services.docs.flights == 0
    assert len(upstream.calls) == 1
