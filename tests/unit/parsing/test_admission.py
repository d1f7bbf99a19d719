from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.parsing.admission import (
    MAX_LENGTH,
    Reason,
    Refusal,
    admit_docs,
    admit_list,
)
from context7_fabric.parsing.libraries import parse_list
from context7_fabric.parsing.snippets import parse_snippets
from unit.parsing.texts import BETWEEN, CODE, DOCS, ENTRY, LIST, OLD_DOCS, README, shared

REFUSED = {
    Reason.UNKNOWN_LIBRARY: [
        'Library "/quay/fake" not found. Please check the library ID or your access permissions.',
        "Library /quay/nothing not found.",
        'Library "quay" not found.',
        'Library "the quay" was not found. Check its name.',
        'Library "quay" could not be found.',
        'No libraries found for "asdfqwer". Try a different search term.',
        "No libraries found matching the provided name.",
        "No documentation libraries found matching your query.",
        "The library you are trying to access does not exist. Please try with a different one.",
        "Request failed with status 404. Please try again later.",
        '{"error":"invalid_library_id"}',
    ],
    Reason.UNKNOWN_VERSION: [
        'Version "v14.x.x" not found for library "/vercel/next.js". Available versions: v14, v15',
        'Tag "v1" not found for library "/quay/harbour".',
        '{"error":"tag_not_found","message":"Gone."}',
    ],
    Reason.QUOTA: [
        "Rate limited or quota exceeded. Create a free API key for higher limits.",
        "Rate limited or quota exceeded. Upgrade your plan at https://context7.com/plans.",
        "Monthly quota exceeded. Create a free API key at https://context7.com/dashboard.",
        "Rate limited due to too many requests. Please try again later.",
        "The spending limit is reached.",
        "Request failed with status 429. Please try again later.",
        "Request failed with status 402. Please try again later.",
        '{"error":"rate_limit_exceeded"}',
        '{"error":"spending_limit_exceeded","message":"The spending limit is reached."}',
    ],
    Reason.CREDENTIAL: [
        "Invalid API key. Please check your API key. API keys should start with 'ctx7sk' prefix.",
        "Unauthorized. Please check your API key.",
        "This key may not read that library.",
        "Authentication required",
        "Request failed with status 401. Please try again later.",
        "Request failed with status 403. Please try again later.",
        '{"error":"unauthorized"}',
    ],
    Reason.UNFINISHED: [
        '{"error":"library_not_finalized","message":"Library /quay/new is still being read."}',
        '{\n  "error": "library_not_finalized"\n}',
        "Library /quay/new is not finalized yet.",
        "The library is still being indexed.",
    ],
    Reason.EMPTY: [
        "",
        " ",
        "\n\t\r\n",
        "No code documentation available for this library. Try mode='info' for guides.",
        "No content available",
        "No context data available",
        "Documentation not found or not finalized for this library. This might have happened …",
        '{"error": "no_snippets_found", "message": "Nothing here."}',
    ],
    Reason.FAILED: [
        "Error searching libraries: TypeError: fetch failed",
        "Error fetching library context. Please try again later. TypeError: fetch failed",
        "Error fetching library documentation. Please try again later. TimeoutError",
        "Failed to retrieve library documentation data from Context7",
        "Request failed with status 500. Please try again later.",
        "Request failed with status 503. Please try again later.",
        "Something went wrong on our side.",
        "The search is not available at the moment.",
        "The library /quay/harbour could not be processed.",
        "<html><title>504</title>Gateway time-out</html>",
        "<html><head><title>502 Bad Gateway</title></head></html>",
        "<!doctype html><title>Sign in</title><p>Hotel Wi-Fi",
        "<!-- proxy -->\n<HTML lang='en'>\n- One\n- Two\n" + "<p>Sorry.</p>" * 200,
        '<?xml version="1.0"?><html><pre>### Trace\n\nSource: https://proxy</pre></html>',
        "503 Backend fetch failed",
        "# 502 Bad Gateway\n\nnginx",
        "Error 521: web server is down",
        '{"error":"search_failed","message":"No."}',
        '{"error":"internal_error"}',
    ],
    Reason.UNRECOGNISED: [
        "Hello.",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"results": [], "searchFilterApplied": false}',
        "[" * 900,
        README,
        "# Harbour\n\n```python\nquay.moor(boat)\n```",
        f"{CODE} {README}".replace("Source", "From"),
        "- Title: Quota exceeded",
        "The quota of the harbour. " * 100,
        "See /quay/harbour: Library /a/b has been redirected to this library: /c/d.",
        "Library /a/b has been redirected to this library: elsewhere.",
    ],
}


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, texts in REFUSED.items() for text in texts]
)
def test_what_is_no_answer_is_refused_with_its_reason(reason: Reason, text: str) -> None:
    assert admit_docs(text) == admit_list(text) == Refusal(reason)


@pytest.mark.parametrize(
    ("text", "is_message"),
    [
        ("Hello.", True),
        ('{"detail": "no such place"}', True),
        ("The harbour is closed today. " * 100, True),
        ("<!doctype html>\n# Harbour\n\n- closed", True),
        ("# Harbour\n\nAll about quays.", False),
        ("- Name: Harbour\n- Id: /quay/harbour", False),
        ("```python\nquay.moor(boat)\n```", False),
    ],
)
def test_refusal_without_markup_is_a_message(text: str, *, is_message: bool) -> None:
    refused = admit_docs(text)
    assert isinstance(refused, Refusal)
    assert refused.is_message is is_message


def test_every_reason_has_a_case() -> None:
    assert {*REFUSED, Reason.MOVED} == set(Reason)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("Library /a/b has been redirected to this library: /c/d.", "/c/d"),
        ("Library /a/b has been redirected to this library: /c/next.js.\n", "/c/next.js"),
        ("Library /a/b has been redirected to this library: /c/d", "/c/d"),
        ("Library /a/b has been redirected to this library: /c/d@v2.", "/c/d/v2"),
        ("Library /a/b has been redirected to this library: /c.", None),
        (json.dumps({"error": "library_redirected", "redirectUrl": "/c/d"}), "/c/d"),
        (json.dumps({"error": "library_redirected", "message": "Moved."}), None),
    ],
)
def test_a_stub_that_says_where_a_library_went_is_read(text: str, new: str | None) -> None:
    assert admit_docs(text) == Refusal(Reason.MOVED, new)


def test_documentation_is_admitted() -> None:
    assert admit_docs(DOCS) == parse_snippets(DOCS)
    assert admit_docs(OLD_DOCS) == parse_snippets(OLD_DOCS)


def test_a_list_is_admitted() -> None:
    assert admit_list(LIST) == parse_list(LIST)


def test_a_list_is_no_documentation_and_documentation_is_no_list() -> None:
    assert admit_docs(LIST) == Refusal(Reason.UNRECOGNISED)
    assert isinstance(admit_list(DOCS), Refusal)


@pytest.mark.parametrize(
    "text",
    [
        f"Monthly quota exceeded.\n\n{CODE}",
        f"Monthly quota exceeded.{BETWEEN}{CODE}",
        f"Library /a/b has been redirected to this library: /c/d.\n\n{CODE}",
    ],
)
def test_an_error_before_documentation_is_not_admitted_with_it(text: str) -> None:
    refused = admit_docs(text)
    assert isinstance(refused, Refusal)
    assert refused.moved_to is None


def test_a_list_cut_in_the_middle_of_an_entry_is_refused() -> None:
    assert isinstance(admit_list(LIST[: LIST.rindex("Description") + 20]), Refusal)
    assert isinstance(admit_list(LIST[: LIST.rindex("/lights")]), Refusal)


def test_a_text_that_is_too_long_is_refused() -> None:
    snippets = BETWEEN.join([CODE] * (MAX_LENGTH // len(CODE + BETWEEN)))
    filled = snippets.replace("boat", "boat" + "s" * (MAX_LENGTH - len(snippets)), 1)
    assert isinstance(admit_docs(filled), tuple)
    assert admit_docs(f"{filled}\n") == Refusal(Reason.UNRECOGNISED)
    entries = "\n----------\n".join([ENTRY] * (MAX_LENGTH // len(ENTRY) + 1))
    assert admit_list(entries) == Refusal(Reason.UNRECOGNISED)


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_random_text_is_refused(text: str) -> None:
    assert isinstance(admit_docs(text), Refusal)
    assert isinstance(admit_list(text), Refusal)


def test_recorded_errors_are_refused_and_recorded_documentation_is_admitted() -> None:
    folder = shared("upstream/samples")
    for line in (folder / "error_texts.txt").read_text(encoding="utf-8").splitlines():
        refused = admit_docs(line)
        assert isinstance(refused, Refusal)
        assert refused == admit_list(line)
        assert refused.reason is not Reason.UNRECOGNISED
        assert (refused.moved_to is not None) == (refused.reason is Reason.MOVED)
    for path in folder.glob("doc_*.txt"):
        assert isinstance(admit_docs(path.read_text(encoding="utf-8")), tuple)
    search = (folder / "search_v2_nextjs.json").read_text(encoding="utf-8")
    assert admit_docs(search) == admit_list(search) == Refusal(Reason.UNRECOGNISED)
