from __future__ import annotations

import pytest

from context7_fabric.registry.readings import languages_in

# What each question names or implies, "-" for a language of no ecosystem of ours, "?" for none.
QUESTIONS = """
npm: How do I fetch a page in javascript? | use it with node | with node, or without | on Node 22
npm: in Node I get an error | Node.js streams | types in vite.config.ts | what JS does | in TS
pypi: in Python | Python's asyncio | `pip install` it | uv add it | run main.py | a python-based way
crates: add it to Cargo.toml | cargo build fails | in Rust | Rust: how to await | a tokio.rs file
go: in Go | Go client for redis | golang | from here to Go | go mod tidy | using go
maven: with Maven | a Java record | the pom.xml
npm+pypi: Python/TypeScript clients | in Python and Node.js
pypi: a Swift package in Python
-: in C# | .NET | in C | with R | push notes on Android | from iOS | Swift package
?: How do I add a route? | go to the next page | checklist for go live | Go to the page | in c minor
?: rust on metal | express a relation | a node in the graph | for node in nodes | a swift reply
?: with node affinity | vitamin C | e.g. this | version 1.5 | a front-end | ready to go | R | ...
"""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (question.strip(), None if named == "?" else frozenset(named.strip("-").split("+")) - {""})
        for named, _, questions in (line.partition(": ") for line in QUESTIONS.strip().splitlines())
        for question in questions.split(" | ")
    ],
)
def test_a_question_names_a_language_only_where_nothing_else_can_be_meant(
    question: str, expected: frozenset[str] | None
) -> None:
    assert languages_in(question) == expected


def test_a_librarys_own_name_is_no_language_in_the_question() -> None:
    assert languages_in("Node.js streams", besides="node.js") is None
    assert languages_in("python-dotenv from Python", besides="python-dotenv") is None
    assert languages_in("Node.js streams in Python", besides="node.js") == frozenset({"pypi"})
