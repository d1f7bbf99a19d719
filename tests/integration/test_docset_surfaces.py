"""Docsets through real processes: `add`, then stdio, commands, HTTP, REST and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.client import HEADERS, META_KEY, Dialogue, call, result_of, talking, texts_of
from support.context7_api import Api
from support.held_docsets import DOCUMENTS, GEARS, KNOWN, NEXT, UNKNOWN
from support.product import PROGRAM, Variables, product_at_port, product_environment, run_product

REFRESH_SECONDS = 40.0
"""Longest time that a process takes to start and to read four documents, on a busy machine."""


@pytest.fixture
def environment(home: Path, by_http: Variables, tmp_path: Path) -> dict[str, str]:
    """Return the variables of a home to which the documents were added by the command."""
    variables = product_environment(home, {**by_http, "CONTEXT7_FABRIC_META": "full"})
    folder = tmp_path / "gears"
    for path, text in DOCUMENTS.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = run_product("add", str(folder), "--id", GEARS, env=variables)
    assert done.returncode == 0, done.stderr
    return variables


def ask(dialogue: Dialogue, query: str) -> tuple[list[str], dict[str, Any]]:
    result = dialogue.call("query-docs", libraryId=GEARS, query=query)
    return texts_of(result), result["_meta"][META_KEY]


def shown(environment: dict[str, str], *words: str) -> Any:  # noqa: ANN401  # as JSON says it
    done = run_product(*words, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.either_mode
def test_docset_over_stdio_is_served_passed_by_and_recorded(
    environment: dict[str, str], api: Api
) -> None:
    """The real server behind does not know the library, so that its docset answers all the same."""
    with talking([PROGRAM], environment) as dialogue:
        found = dialogue.call("resolve-library-id", libraryName="gears", query="x")
        assert f"library ID: {GEARS}\n" in texts_of(found)[0]
        (page, note), about = ask(dialogue, KNOWN)
        assert "compensate_backlash" in page
        assert GEARS in note
        assert (about["outcome"], about["tier"]) == ("hit", "docset")
        _, again = ask(dialogue, KNOWN)
        assert (again["outcome"], again["tier"]) == ("offline", "docset")
        fallback = environment | {"CONTEXT7_FABRIC_DOCSETS": "fallback"}
        with talking([PROGRAM], fallback) as other:
            _, passed = ask(other, NEXT)
        assert passed["outcome"] == "offline"
        assert ask(dialogue, NEXT)[1]["outcome"] == "hit"
    assert api.calls == 3  # the look-up, the question asked again, and the other window's
    record = shown(environment, "why", about["execution_id"])
    assert record["docset"]["considered"][0]["path"] == "guide/backlash.md"
    words = run_product("why", about["execution_id"], env=environment).stdout
    assert f"{GEARS}: confidence " in words
    assert "needed; served before Context7" in words
    docsets = shown(environment, "stats")["records"]["docsets"]
    assert docsets["answers"] >= 2
    assert docsets["libraries"][0]["library_id"] == GEARS
    table = run_product("stats", env=environment).stdout
    assert "docset" in table


@pytest.mark.either_mode
def test_docset_by_command_needs_no_upstream_and_is_reached_by_purge(
    environment: dict[str, str],
) -> None:
    offline = environment | {"CONTEXT7_FABRIC_UPSTREAM": "off"}
    answer = shown(offline, "docs", "gears", *KNOWN.split())
    assert "compensate_backlash" in answer["text"]
    assert (answer["tier"], answer["library_id"]) == ("docset", GEARS)
    assert shown(offline, "resolve", "gears")["library_id"] == GEARS
    purged = shown(environment, "purge", "--matching", "compensate_backlash")
    (changed,) = purged["docsets"]
    assert (changed["name"], changed["snippets"], changed["is_gone"]) == (GEARS, 1, False)
    assert changed["line"].startswith("context7-fabric add ")
    gone = run_product("purge", "--library", GEARS, env=environment)
    assert f"the docset {GEARS} is removed" in gone.stdout


def test_docset_over_http_and_rest_is_served_and_counted(environment: dict[str, str]) -> None:
    with product_at_port("http", environment) as served:
        url = f"http://127.0.0.1:{served.port}"
        with httpx2.Client(base_url=url, timeout=30) as http:

            def asked(query: str) -> dict[str, Any]:
                body = call("query-docs", 1, libraryId=GEARS, query=query)
                result: dict[str, Any] = result_of(http.post("/mcp", json=body, headers=HEADERS))
                return result

            first, again = asked(KNOWN), asked(KNOWN)
            reply = http.post("/docs", json={"library": "gears", "query": NEXT}).json()
            unknown = {"library": GEARS, "query": UNKNOWN, "upstream": False}
            assert http.post("/docs", json=unknown).status_code == 404
            metrics = http.get("/metrics").text
    assert first["_meta"][META_KEY]["tier"] == "docset"
    assert "Ask again" in texts_of(first)[1]
    assert again["_meta"][META_KEY]["outcome"] == "offline"
    assert (reply["outcome"], reply["tier"]) == ("hit", "docset")
    assert 'context7_fabric_docset_answers_total{use="first"} 2.0' in metrics
    assert GEARS not in metrics


@pytest.mark.either_mode
def test_docset_that_is_old_is_read_anew_behind_its_answer(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "gears" / "guide" / "backlash.md"
    file.write_text(file.read_text().replace("compensate_backlash", "remove_backlash"))
    at_once = environment | {"CONTEXT7_FABRIC_DOCSETS_FRESH": "0s"}
    with talking([PROGRAM], at_once) as dialogue:
        dialogue.ask("resources/subscribe", uri=f"library:/{GEARS}")
        assert "compensate_backlash" in ask(dialogue, KNOWN)[0][0]
        dialogue.process.out.wait_for(r"notifications/resources/updated", REFRESH_SECONDS)
    page = run_product("docs", GEARS, *KNOWN.split(), env=environment).stdout
    assert "remove_backlash" in page
