"""`why [EXECUTION]`: how an answer came about, step by step, ready for a report of a fault."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict

from context7_fabric.call_log.feedback import BEST
from context7_fabric.call_log.records import AutomatedScore, CallLog, CallRecord
from context7_fabric.cli.feedback import feedback_on
from context7_fabric.cli.output import print_json, with_fabric
from context7_fabric.cli.text import CommandParser, local_time, one_line, say, tell
from context7_fabric.errors import UnknownExecution
from context7_fabric.fabric.context import Context, Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.privacy.redaction import redact
from context7_fabric.runtime.store import read_principal
from context7_fabric.settings import read_settings
from context7_fabric.version import __version__
from context7_fabric.views.visibility import is_visible

NONE_YET = (
    "no call is recorded yet: each call of a tool by an MCP client makes a record"
    " (what was asked with another CONTEXT7_API_KEY than this shell's is not shown)"
)
_WIDTH = 15


def run(words: list[str]) -> int:
    """Print the record of a call, the newest if none is named; only the store is opened."""
    options = _parser().parse_args(words)
    settings = read_settings(os.environ)

    async def work(fabric: Fabric) -> int:
        principal = await read_principal(settings, fabric)

        def shown(context: Context) -> bool:
            return is_visible(context, Viewer(principal))

        executions = CallLog(fabric, time.time, redact, settings.executions)
        try:
            execution = await executions.find(options.execution, shown)
        except UnknownExecution:
            if options.execution:
                raise
            tell(NONE_YET)
            return 0
        feedback = await feedback_on(fabric, settings, principal).of(execution)
        _print(execution, feedback, as_json=options.json)
        return 0

    return with_fabric(work)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric why", description="Tell how an answer came about.")
    parser.add_argument(
        "execution",
        metavar="EXECUTION",
        nargs="?",
        default="",
        help="the answer's execution_id, or how it begins (default: the newest)",
    )
    parser.add_argument("--json", action="store_true", help="the record as a JSON object")
    return parser


def _print(execution: CallRecord, feedback: dict[str, Json] | None, *, as_json: bool) -> None:
    if as_json:
        score = execution.automated.score
        told = {"version": __version__, **asdict(execution), "score": score, "feedback": feedback}
        print_json(told)
        return
    for name, value in _report(execution, feedback):
        say(f"{name:<{_WIDTH}} {one_line(value)}".rstrip(), hanging=_WIDTH + 1)


def _report(execution: CallRecord, feedback: dict[str, Json] | None) -> Iterator[tuple[str, str]]:
    """Yield what there is to tell of a call, a name and a text at a time."""
    yield "context7-fabric", __version__
    yield "call", f"{execution.tool} {execution.id}"
    yield "at", local_time(execution.at)
    yield "arguments", json.dumps(execution.arguments, ensure_ascii=False)
    yield "client", execution.client or "did not say its name"
    yield "outcome", f"{execution.outcome}, found by: {execution.tier}"
    yield "library", execution.library_id or "-"
    yield "Context7", "asked for this call" if execution.upstream else "not asked"
    for step in execution.steps:
        yield f"{step.at_ms:9.1f} ms", step.what
    sizes = f"{execution.size:,} characters, {execution.tokens:,} tokens"
    yield "answer", f"{sizes}; {execution.tokens_saved:,} tokens saved"
    yield "error", execution.error or "-"
    yield "automated score", _score(execution.automated)
    yield "feedback", _rated(feedback)
    for key in execution.stored_at:
        yield "looked for at", key


def _score(automated: AutomatedScore) -> str:
    marks = {name: "yes" if reached else "no" for name, reached in asdict(automated).items()}
    told = ", ".join(f"{name}: {mark}" for name, mark in marks.items())
    return f"{automated.score} of {len(marks)} ({told})"


def _rated(feedback: dict[str, Json] | None) -> str:
    if feedback is None:
        return "none"
    texts = ("comment", "corrections")
    said = [f"{name}: {feedback[name]}" for name in texts if feedback.get(name)]
    return "; ".join([f"{feedback.get('rating')} of {BEST}", *said])
