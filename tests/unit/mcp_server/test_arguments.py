"""Arguments are taken as leniently as upstream takes them, and complained of in its words.

The words are those of the real server 4.1.1, heard on the wire; those on mode and page are its
validator's, as its tools have neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from context7_fabric.errors import ArgumentError
from context7_fabric.mcp_server.arguments import (
    MAX_BYTES,
    check_size,
    look_up,
    question,
    topic_question,
)
from context7_fabric.models import Question

RESOLVE, QUERY, GET = "resolve-library-id", "query-docs", "get-library-docs"
READERS: dict[str, Callable[[dict[str, Any]], object]] = {
    RESOLVE: look_up,
    QUERY: question,
    GET: topic_question,
}
ID = "context7CompatibleLibraryID"
EXPECTED = "Invalid input: expected string, received"


def complaint(tool: str, arguments: dict[str, Any]) -> str:
    with pytest.raises(ArgumentError) as problem:
        READERS[tool](arguments)
    head = f"Input validation error: Invalid arguments for tool {tool}: "
    assert str(problem.value) == head + ", ".join(problem.value.problems)
    return str(problem.value).removeprefix(head)


class TestLookUp:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"query": "hooks", "libraryName": "react"}, Question("react", "hooks")),
            ({"libraryName": "react"}, Question("react", "")),
            ({"libraryName": "", "query": ""}, Question("", "")),
            ({"libraryName": "react", "userQuery": "a"}, Question("react", "a")),
            ({"libraryName": "react", "question": "b"}, Question("react", "b")),
            (
                {"libraryName": "react", "question": "b", "userQuery": "a"},
                Question("react", "a"),
            ),
            ({"libraryName": "react", "userQuery": "a", "query": ""}, Question("react", "")),
            ({"libraryName": "react", "tokens": [1], "x": None}, Question("react", "")),
        ],
    )
    def test_a_name_and_perhaps_a_question_make_a_look_up(
        self, arguments: dict[str, Any], expected: Question
    ) -> None:
        assert look_up(arguments) == expected

    @pytest.mark.parametrize(
        ("arguments", "problems"),
        [
            ({}, f"libraryName: {EXPECTED} undefined"),
            (
                {"query": 3},
                f"query: {EXPECTED} number, libraryName: {EXPECTED} undefined",
            ),
            (
                {"userQuery": 3, "question": "x", "libraryName": 3},
                f"query: {EXPECTED} number, libraryName: {EXPECTED} number",
            ),
        ],
    )
    def test_problems_are_listed_in_upstreams_order(
        self, arguments: dict[str, Any], problems: str
    ) -> None:
        assert complaint(RESOLVE, arguments) == problems


class TestQuestion:
    @pytest.mark.parametrize(
        "library",
        [
            *({"libraryId": "/a/b"}, {ID: "/a/b"}, {"libraryID": "/a/b"}, {"libraryName": "/a/b"}),
            {"libraryId": "/a/b", "libraryID": 3},
            {ID: "/a/b", "libraryID": "/c/d", "libraryName": "e"},
        ],
    )
    def test_a_library_goes_by_several_names_the_first_of_which_counts(
        self, library: dict[str, Any]
    ) -> None:
        assert question(library | {"query": "how"}) == Question("/a/b", "how")

    @pytest.mark.parametrize(
        ("asked", "text"),
        [
            ({"query": "a", "userQuery": "b", "question": "c"}, "a"),
            ({"userQuery": "b", "question": "c"}, "b"),
            ({"question": "c"}, "c"),
            ({"query": "", "question": "c"}, ""),
        ],
    )
    def test_a_question_goes_by_several_names_the_first_of_which_counts(
        self, asked: dict[str, Any], text: str
    ) -> None:
        assert question({"libraryId": "/a/b"} | asked) == Question("/a/b", text)

    def test_empty_texts_and_unknown_names_are_taken(self) -> None:
        given = {"libraryId": "", "query": "", "tokens": -1, "page": "x", "mode": 3}
        assert question(given) == Question("", "")

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (1, "number"),
            (1.5, "number"),
            (True, "boolean"),
            (None, "null"),
            ([], "array"),
            ({}, "object"),
        ],
    )
    def test_another_type_is_called_as_javascript_calls_it(self, value: object, kind: str) -> None:
        problem = complaint(QUERY, {"libraryId": value, "query": "how"})
        assert problem == f"libraryId: Invalid input: expected string, received {kind}"

    def test_several_problems_are_listed_together(self) -> None:
        assert complaint(QUERY, {}) == (
            "libraryId: Invalid input: expected string, received undefined,"
            " query: Invalid input: expected string, received undefined"
        )
        assert complaint(QUERY, {"libraryId": 1, "query": []}) == (
            "libraryId: Invalid input: expected string, received number,"
            " query: Invalid input: expected string, received array"
        )

    def test_missing_argument_is_reported_word_for_word(self) -> None:
        with pytest.raises(ArgumentError) as problem:
            question({"query": "how"})
        assert str(problem.value) == (
            "Input validation error: Invalid arguments for tool query-docs:"
            " libraryId: Invalid input: expected string, received undefined"
        )
        assert problem.value.tool == QUERY

    def test_an_alias_is_complained_of_by_the_canonical_name(self) -> None:
        problem = complaint(QUERY, {"libraryName": 3, "query": "x"})
        assert problem == "libraryId: Invalid input: expected string, received number"

    def test_an_alias_does_not_stand_in_for_null(self) -> None:
        problem = complaint(QUERY, {"libraryId": None, "libraryID": "/a/b", "query": "x"})
        assert problem == "libraryId: Invalid input: expected string, received null"


class TestTopicQuestion:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({}, Question("/a/b", "")),
            ({"topic": "hooks"}, Question("/a/b", "hooks")),
            ({"query": "hooks"}, Question("/a/b", "hooks")),
            ({"topic": "", "query": "hooks"}, Question("/a/b", "")),
            ({"mode": "info", "page": 10}, Question("/a/b", "", "info", 10)),
            ({"mode": "code", "page": 2.0}, Question("/a/b", "", "code", 2)),
            ({"mode": None, "page": None}, Question("/a/b", "")),
            ({"page": 1, "extra": object}, Question("/a/b", "")),
        ],
    )
    def test_the_older_tools_arguments_make_a_question(
        self, arguments: dict[str, Any], expected: Question
    ) -> None:
        assert topic_question({ID: "/a/b"} | arguments) == expected

    @pytest.mark.parametrize(
        "library",
        [
            {ID: "/a/b", "libraryId": "/c/d"},
            *({"libraryId": "/a/b"}, {"libraryID": "/a/b"}, {"libraryName": "/a/b"}),
        ],
    )
    def test_its_own_name_for_the_library_counts_first(self, library: dict[str, Any]) -> None:
        assert topic_question(library) == Question("/a/b", "")

    @pytest.mark.parametrize(
        ("tokens", "limit"),
        [
            (5000, 5000),
            ("5000", 5000),
            (5000.0, 5000),
            (1, 1),
            (0, None),
            (-1, None),
            ("many", None),
            ("nan", None),
            (float("inf"), None),
            (10**400, None),
            (True, None),
            ([1], None),
            (None, None),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_a_number_of_tokens_is_a_limit_and_anything_else_is_ignored(
        self, tokens: object, limit: int | None
    ) -> None:
        assert topic_question({ID: "/a/b", "tokens": tokens}).max_tokens == limit

    @pytest.mark.parametrize(
        ("arguments", "problems"),
        [
            ({"page": 0}, "page: Too small: expected number to be >=1"),
            ({"page": 11}, "page: Too big: expected number to be <=10"),
            ({"page": 1.5}, "page: Invalid input: expected int, received number"),
            ({"page": "2"}, "page: Invalid input: expected number, received string"),
            ({"page": True}, "page: Invalid input: expected number, received boolean"),
            ({"page": []}, "page: Invalid input: expected number, received array"),
            ({"mode": "all"}, 'mode: Invalid option: expected one of "code"|"info"'),
            ({"mode": ["code"]}, 'mode: Invalid option: expected one of "code"|"info"'),
            ({"topic": None}, "topic: Invalid input: expected string, received null"),
        ],
    )
    def test_problems_are_reported_in_the_validators_words(
        self, arguments: dict[str, Any], problems: str
    ) -> None:
        assert complaint(GET, {ID: "/a/b"} | arguments) == problems

    def test_all_problems_are_listed_together(self) -> None:
        assert complaint(GET, {"topic": 1, "mode": "x", "page": 0}) == (
            f"{ID}: Invalid input: expected string, received undefined,"
            " topic: Invalid input: expected string, received number,"
            ' mode: Invalid option: expected one of "code"|"info",'
            " page: Too small: expected number to be >=1"
        )


class TestSize:
    def test_bytes_count_as_json_writes_them(self) -> None:
        check_size(QUERY, {"query": "\0" * 1_600})
        with pytest.raises(ArgumentError, match="received 10213"):
            check_size(QUERY, {"query": "\0" * 1_700})

    def test_ten_thousand_bytes_pass_and_one_more_does_not(self) -> None:
        frame = len('{"query": ""}')
        check_size(QUERY, {"query": "x" * (MAX_BYTES - frame)})
        with pytest.raises(ArgumentError) as problem:
            check_size(QUERY, {"query": "x" * (MAX_BYTES - frame + 1)})
        assert str(problem.value) == (
            "Input validation error: Invalid arguments for tool query-docs:"
            " Too big: expected at most 10000 bytes, received 10001"
        )

    def test_bytes_are_counted_not_characters(self) -> None:
        check_size(QUERY, {"query": "鍵" * 3300})
        with pytest.raises(ArgumentError):
            check_size(QUERY, {"query": "鍵" * 3400})

    def test_a_lone_surrogate_can_be_counted(self) -> None:
        check_size(QUERY, {"query": "\ud800"})
        with pytest.raises(ArgumentError, match="received 12013"):
            check_size(QUERY, {"query": "\ud800" * 4000})
