"""`demo`: see a miss, a hit, a restart and an outage, with times and tokens side by side."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import anyio
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from context7_fabric.cli.output import plain_console, print_table
from context7_fabric.cli.text import CommandParser
from context7_fabric.demo.walk import DemoStep, walk_live, walk_sample
from context7_fabric.process import harmless, set_up_logging
from context7_fabric.settings import Settings, read_settings
from context7_fabric.settings.values import StoreSettings, SuggestionSettings


def run(words: list[str]) -> int:
    """Walk, printing each step as it is done and the table at the end."""
    parser = CommandParser(
        "context7-fabric demo",
        description="See what it does: against a sample in process, no network needed.",
    )
    parser.add_argument("--live", action="store_true", help="against the real Context7: two calls")
    live = parser.parse_args(words).live
    set_up_logging("error")
    with tempfile.TemporaryDirectory(prefix="context7-fabric-demo-") as home:
        settings = replace(
            read_settings(os.environ),
            home=Path(home),
            store=StoreSettings(),
            suggestions=SuggestionSettings(Path(home), enabled=False),
        )
        steps = _walked(settings, live=live)
    return 1 if any(step.answer.is_error for step in steps) else 0


def _walked(settings: Settings, *, live: bool) -> list[DemoStep]:
    console = plain_console(markup=True)
    steps: list[DemoStep] = []

    def show(step: DemoStep) -> None:
        steps.append(step)
        mark = "[red]failed[/]" if step.answer.is_error else "[green]answered[/]"
        console.print(f"{mark} {step.call}, {step.when}  [dim]{step.seconds * 1000:.0f} ms[/]")

    source = "the real Context7" if live else "a sample Context7 in this process, with made-up text"
    console.print(f"Asking [bold]{source}[/].\n")
    anyio.run(walk_live if live else walk_sample, settings, show)
    print_table(_table(steps))
    for note in dict.fromkeys(step.answer.note for step in steps if step.answer.note):
        console.print(f"[dim]Second block of the outage's answers:[/] {_quoted(note)}")
    for text in dict.fromkeys(step.answer.text for step in steps if step.answer.is_error):
        console.print(f"[red]{_quoted(text)}[/]")
    return steps


def _quoted(text: str) -> str:
    """Return text from outside as it may stand in mark-up."""
    return escape(harmless(text))


def _table(steps: list[DemoStep]) -> Table:
    table = Table(title="\nWhat it cost", title_justify="left", box=SIMPLE_HEAD)
    for name in ("when", "call", "outcome", "from"):
        table.add_column(name, no_wrap=True)
    for name in ("ms", "tokens", "saved"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        answer = step.answer
        saved = str(answer.tokens_saved) if answer.tokens_saved else "-"
        figures = (f"{step.seconds * 1000:.0f}", str(step.tokens), saved)
        table.add_row(step.when, step.call, answer.outcome, answer.tier, *figures)
    return table
