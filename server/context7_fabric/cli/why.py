"""`why [EXECUTION]`: the record of a call, step by step, ready for a bug report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping

from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import (
    CommandParser,
    local_time,
    one_line,
    print_json,
    print_note,
    print_text,
)
from context7_fabric.lenient_json import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NONE_YET = (
    "no call is recorded yet: each call of a tool by an MCP client makes a record, and so do"
    " `resolve` and `docs` (calls with another CONTEXT7_API_KEY than this shell's are not shown)"
)
_WIDTH = 15


def run(words: list[str]) -> int:
    """Print the record of a call, the newest if none is named."""
    options = _parser().parse_args(words)
    with CommandSession(records_only=True) as session:
        record = session.ask("why", execution=options.execution)
    if record is None:
        print_note(NONE_YET)
    elif options.json:
        print_json(record)
    else:
        for name, value in report(record):
            print_text(f"{name:<{_WIDTH}} {one_line(value)}".rstrip(), hanging=_WIDTH + 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric why", description="Print the record of a call.")
    parser.add_argument(
        "execution",
        type=readable,
        metavar="EXECUTION",
        nargs="?",
        default="",
        help="the answer's execution_id, or its beginning (default: the newest)",
    )
    parser.add_argument("--json", action="store_true", help="the record as a JSON object")
    return parser


def report(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report, each a name and a text."""
    yield "context7-fabric", record["version"]
    yield "call", f"{record['tool']} {record['id']}"
    yield "at", local_time(record["at"])
    yield "arguments", json.dumps(record["arguments"], ensure_ascii=False)
    yield "client", record["client"] or "did not say its name"
    yield "outcome", f"{record['outcome']}, found by: {record['tier']}"
    yield "library", record["library_id"] or "-"
    if record.get("pin"):
        yield "pin", record["pin"]
    yield "Context7", "asked for this call" if record["upstream"] else "not asked"
    for step in record["steps"]:
        yield f"{step['at_ms']:9.1f} ms", step["what"]
    yield from _decision(record.get("docset"))
    sizes = f"{record['size']:,} characters, {record['tokens']:,} tokens"
    yield "answer", f"{sizes}; {record['tokens_saved']:,} tokens saved"
    yield "error", record["error"] or "-"
    yield "automated score", _score(record)
    yield "feedback", _rated(record["feedback"])
    for key in record["stored_at"]:
        yield "looked for at", key


def _decision(docset: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield the lines about a docset: the decision, the words, the snippets considered."""
    if docset is None:
        return
    needed = f"confidence {docset['confidence']:.2f}, {docset['threshold']:.2f} needed"
    yield "docset", f"{docset['name']}: {needed}; {docset['reason']}"
    words = ", ".join(f"{word} {weight:.2f}" for word, weight in docset["words"])
    yield "words", words or "-"
    for each in docset["considered"]:
        held = ", ".join(each["words"]) or "none of the words"
        yield f"{each['score']:12.2f}", f"{each['title']} ({each['path']}): {held}"


def _score(record: Mapping[str, Any]) -> str:
    marks = {name: "yes" if reached else "no" for name, reached in record["automated"].items()}
    listed = ", ".join(f"{name}: {mark}" for name, mark in marks.items())
    return f"{record['score']} of {len(marks)} ({listed})"


def _rated(feedback: Mapping[str, Any] | None) -> str:
    if feedback is None:
        return "none"
    texts = [
        f"{name}: {feedback[name]}" for name in ("comment", "corrections") if feedback.get(name)
    ]
    return "; ".join([f"{feedback.get('rating')} of 5", *texts])
