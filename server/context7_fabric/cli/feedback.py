"""`feedback EXECUTION --rating N`: say what an answer was worth, which acts on what is stored."""

from __future__ import annotations

import argparse
import os
import time

from context7_fabric.call_log.feedback import BEST, WORST, Feedback
from context7_fabric.call_log.records import CallLog
from context7_fabric.cli.output import with_fabric
from context7_fabric.cli.text import CommandParser, say
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.privacy.redaction import redact
from context7_fabric.runtime.store import read_principal
from context7_fabric.settings import Settings, read_settings


def run(words: list[str]) -> int:
    """Record the feedback and tell in one line what it did; only the store is opened."""
    options = _parser().parse_args(words)
    settings = read_settings(os.environ)

    async def work(fabric: Fabric) -> int:
        principal = await read_principal(settings, fabric)
        feedback = feedback_on(fabric, settings, principal)
        effect = await feedback.give(
            options.execution, options.rating, options.comment, options.correction
        )
        say(effect.summary)
        return 0

    return with_fabric(work)


def feedback_on(fabric: Fabric, settings: Settings, principal: str) -> Feedback:
    """Return what takes `principal`'s feedback, over the store alone."""
    redacted = redact if settings.redact else str
    executions = CallLog(fabric, time.time, redacted, settings.executions)
    return Feedback(fabric, executions, time.time, redacted, principal)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric feedback",
        description="Rate an answer: 1 or 2 drops the stored copy, 4 or 5 keeps it fresh longer.",
    )
    parser.add_argument(
        "execution", metavar="EXECUTION", help="the answer's execution_id, or how it begins"
    )
    parser.add_argument("--rating", metavar="N", type=_rating, required=True, help="from 1 to 5")
    parser.add_argument("--comment", metavar="TEXT", help="why")
    parser.add_argument("--correction", metavar="TEXT", help="what would have been right")
    return parser


def _rating(text: str) -> int:
    if text not in map(str, range(WORST, BEST + 1)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {WORST} to {BEST}")
    return int(text)
