"""The results of `outage.py` as people read them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.askers import Recovery
from bench.stage import Cell, Seen, Step
from bench.stock import STATES, TOOLS, Tool

WIDTH = 200
TITLES: dict[Tool, str] = {"docs": "Documentation questions", "look-up": "Look-ups"}
COLUMNS = {
    "fresh": "stored, fresh",
    "stale": "stored, stale",
    "expired": "stored, expired",
    "nothing": "nothing stored",
}


def show(cells: Sequence[Cell]) -> None:
    """Print the outcomes and times of all cells, then what clients read where not all was well."""
    console = Console(width=WIDTH, highlight=False)
    for tool in TOOLS:
        console.print(_outcomes(cells, tool))
    console.print(_words(cells))


def show_recoveries(found: Sequence[Recovery]) -> None:
    """Print what clients got while upstream was away, and when the first right answer came."""
    table = Table(title="Upstream goes away and returns: a client asks ten times a second")
    for name in (
        "upstream",
        "outcome",
        "after ms",
        "calls out",
        "right after it is back",
        "allowed",
    ):
        table.add_column(name, no_wrap=True)
    table.add_column("what the first call read", max_width=90)
    for each in found:
        back = "never" if each.back_after is None else f"{each.back_after:.2f} s"
        table.add_row(
            each.name,
            each.outcome,
            f"{each.seconds * 1000:.0f}",
            str(each.calls),
            back,
            f"{each.allowed:g} s",
            _cut(each.text, 88, 0),
        )
    Console(width=WIDTH, highlight=False).print(table)


def _outcomes(cells: Sequence[Cell], tool: Tool) -> Table:
    table = Table(title=f"{TITLES[tool]}: outcome, median and longest ms, calls upstream")
    table.add_column("upstream")
    for stored in STATES:
        table.add_column(COLUMNS[stored])
    found = {(cell.trouble, cell.step): cell for cell in cells}
    for trouble in _troubles(cells):
        table.add_row(trouble, *(_summary(found[trouble, Step(each, tool)]) for each in STATES))
    return table


def _summary(cell: Cell) -> str:
    figures = f"{cell.median * 1000:.0f} / {cell.longest * 1000:.0f}"
    return f"{outcomes(cell)}  {figures}  ({cell.calls})"


def outcomes(cell: Cell) -> str:
    """Return the outcomes of a cell's calls, repetitions left out."""
    told = [each.outcome for each in cell.seen]
    return " → ".join(
        each for each, before in zip(told, ["", *told], strict=False) if each != before
    )


def _words(cells: Sequence[Cell]) -> Table:
    """Return what the first call of each cell read; fresh and stale copies need no words."""
    title = "What the first call read (fresh and stale copies come as they are, without a remark)"
    table = Table(title=title)
    for name in ("upstream", "stored", "tool", "tier", "first words", "second block"):
        table.add_column(name, no_wrap=True)
    for cell in cells:
        first = cell.seen[0]
        if cell.step.stored in ("expired", "nothing") or first.note is not None:
            where = (cell.trouble, cell.step.stored, cell.step.tool, first.tier)
            table.add_row(*where, _first_words(first), _cut(first.note or "", 30, 44))
    return table


def _first_words(seen: Seen) -> str:
    return "(the true answer)" if seen.true else _cut(seen.text, 54, 0)


def _cut(text: str, head: int, tail: int) -> str:
    """Return a text as one line that shows its head and its tail."""
    line = "".join(sign if sign.isprintable() else "·" for sign in " ".join(text.split()))
    if len(line) <= head + tail + 1:
        return line
    return f"{line[:head]}…{line[len(line) - tail :]}"


def _troubles(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.trouble for cell in cells))
