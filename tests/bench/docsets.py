"""Answers from docsets, judged: right pages, confidence, length, time, size and memory.

The corpora of `--data` are added by the command, `context7-fabric add`, to a home of their own.
Then each judged question goes through a client on stdio with Context7 switched off: first the
look-up of its library, then the question under the id of the question file. A page is right if it
shows one fact that answers; it is complete if it shows all. White space and case are folded, and
back-ticks and asterisks taken off. A question is served if its confidence reaches the threshold;
confidences are those of the rule in the product, so see `docsets_calibration.py` for figures by
leaving one library out. Intervals are those of a bootstrap over libraries and their questions.

The tokens are counted by o200k (bpe-openai, which `make bench` installs).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from anyio import to_thread

from bench.docsets_judged import (
    CORPORA,
    QUESTIONS,
    Judged,
    Seen,
    complete,
    held_docsets,
    ids_of,
    interval,
    macro,
    pooled,
    read_questions,
    right,
    served_right,
    served_wrong,
    unpack,
    version_of,
)
from bench.harness import QUICK, Report, milliseconds_since, percentile, run
from bench.mcp_client import Client, product
from bench.tokens import count_tokens
from bench.workload import DOCS, LOOK_UP
from context7_fabric.docsets.confidence import THRESHOLD
from context7_fabric.docsets.index import DocsetIndex, open_docset, write_docset
from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.process import prepare_server
from support.product import PROGRAM, product_environment

LENGTHS = (1_700, 2_500, 3_500, 5_000)
SIZES = (1_000, 5_000, 50_000)
OPEN = 100  # docsets that are open at once
IDLE = 0.0005  # seconds between two looks of the event loop at the clock


@dataclass(frozen=True)
class Added:
    """Time and sizes of one corpus that was added."""

    corpus: str
    ids: Sequence[str]
    file: Path
    files: int
    source_bytes: int
    seconds: float


def measure(options: argparse.Namespace) -> Report:
    """Add the corpora, ask all questions, and measure times and sizes."""
    questions = read_questions(options.data / QUESTIONS)
    if options.quick:
        questions = questions[::10]
    report = Report("Docsets", [f"{len(questions)} judged questions."])
    with TemporaryDirectory(prefix="docsets-") as temporary:
        folder = Path(temporary)
        if options.direct:
            indexes = held_docsets(options.data, options.direct, questions)
            seen = [_served(each, indexes[each.corpus]) for each in questions]
        else:
            indexes, seen = _through_stdio(report, options.data, folder, questions)
        _report_quality(report, seen)
        _report_lengths(report, questions, indexes)
        _report_times(report, questions, indexes, folder)
        _report_memory(report, [each.path for each in indexes.values() if each.path])
    return report


def _through_stdio(
    report: Report, data: Path, folder: Path, questions: Sequence[Judged]
) -> tuple[dict[str, DocsetIndex], list[Seen]]:
    trees = unpack(data / CORPORA, folder / "corpora")
    environment = product_environment(
        folder / "home", {"CONTEXT7_FABRIC_UPSTREAM": "off", "CONTEXT7_FABRIC_DAEMON": "off"}
    )
    added = [
        _add(trees / corpus, ids, version_of(corpus, questions), environment)
        for corpus, ids in ids_of(questions).items()
    ]
    _report_ingestion(report, added)
    indexes = {each.corpus: open_docset(each.file) for each in added}
    return indexes, _ask_all(questions, indexes, environment)


def _served(question: Judged, index: DocsetIndex) -> Seen:
    """Return the page without the server."""
    found = index.retrieve(question.text)
    page = found.page().text
    return Seen(question, page, found.confidence, THRESHOLD, count_tokens(page))


def _add(tree: Path, ids: Sequence[str], version: str | None, environment: dict[str, str]) -> Added:
    words = [PROGRAM, "add", str(tree), "--id", ids[0], "--json"]
    words += [word for each in ids[1:] for word in ("--also", each)]
    words += ["--version", version.removeprefix("v")] if version else []
    begun = time.perf_counter()
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begun
    said = json.loads(done.stdout)
    size = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    home = Path(environment["CONTEXT7_FABRIC_HOME"])
    (file,) = (
        each
        for each in (home / "docsets").rglob("*.sqlite")
        if open_docset(each).docset.id == ids[0]
    )
    return Added(tree.name, ids, file, int(said["files"]), size, seconds)


def _ask_all(
    questions: Sequence[Judged], indexes: dict[str, DocsetIndex], environment: dict[str, str]
) -> list[Seen]:
    with product(environment) as client:
        return [_ask(client, each, indexes[each.corpus]) for each in questions]


def _ask(client: Client, question: Judged, index: DocsetIndex) -> Seen:
    """Look the library up, then ask; the confidence is that of the same docset."""
    name = question.library.strip("/").split("/")[1 if "/" in question.library else 0]
    found = _texts(client, LOOK_UP, libraryName=name, query=question.text)
    library = question.library
    if not library.startswith("/"):
        library = found.partition("library ID: ")[2].partition("\n")[0] or index.docset.id
    page = _texts(client, DOCS, libraryId=library, query=question.text)
    confidence = index.retrieve(question.text).confidence
    return Seen(question, page, confidence, THRESHOLD, count_tokens(page))


def _texts(client: Client, tool: str, **arguments: str) -> str:
    result: dict[str, Any] = client.ask("tools/call", name=tool, arguments=arguments)
    return str(result["content"][0]["text"])


def _report_ingestion(report: Report, added: Sequence[Added]) -> None:
    heads = ("files", "MB", "s", "files a second", "MB a second", "docset / source")
    table = report.table("Ingestion by the command, start included", "library", *heads)
    for each in sorted(added, key=lambda each: -each.source_bytes):
        megabytes = each.source_bytes / 1e6
        table.add_row(
            each.ids[0],
            f"{each.files:,}",
            f"{megabytes:.1f}",
            f"{each.seconds:.1f}",
            f"{each.files / each.seconds:,.0f}",
            f"{megabytes / each.seconds:.1f}",
            f"{each.file.stat().st_size / each.source_bytes:.2f}",
        )
    largest = max(added, key=lambda each: each.source_bytes)
    report.at_most("seconds to add the largest corpus", largest.seconds, 30, " s")


def _report_quality(report: Report, seen: Sequence[Seen]) -> None:
    table = report.table("Pages, % (95 % interval)", "figure", "real", "new", "pooled", "macro")
    groups = [
        [each for each in seen if each.question.is_real is is_real] for is_real in (True, False)
    ]
    figures = {
        "right": right,
        "all facts": complete,
        "served right": served_right,
        "wrong of the served": served_wrong,
    }
    for name, figure in figures.items():
        cells = [f"{100 * pooled(group, figure):.1f}" for group in groups]
        for by in (pooled, macro):
            low, high = interval(seen, partial(by, figure=figure))
            cells.append(f"{100 * by(seen, figure):.1f} ({100 * low:.1f} to {100 * high:.1f})")
        table.add_row(name, *cells)
    tokens = [each.tokens for each in seen if each.question.is_answerable]
    report.remarks.append(
        f"Tokens of a page: p50 {statistics.median(tokens):,.0f}, most {max(tokens):,}."
    )
    _report_curve(report, seen)
    _claim_quality(report, seen, statistics.median(tokens))
    wrong = [each for each in seen if each.question.is_answerable and not each.is_right]
    for each in (each.question for each in wrong):
        report.remarks.append(f"Not right: {each.library}: {each.text} (in {each.where[0]})")


def _report_curve(report: Report, seen: Sequence[Seen]) -> None:
    heads = ("served right, macro", "wrong, macro", "served right, pooled", "wrong, pooled")
    table = report.table("Confidence with the rule of the product, %", "threshold", *heads)
    for step in range(1, 20):
        at = [replace(each, threshold=step / 20) for each in seen]
        figures = [by(at, what) for by in (macro, pooled) for what in (served_right, served_wrong)]
        table.add_row(f"{step / 20:.2f}", *(f"{100 * each:.1f}" for each in figures))


def _claim_quality(report: Report, seen: Sequence[Seen], median: float) -> None:
    report.at_least("right pages, pooled", 100 * pooled(seen, right), 95, " %")
    report.at_most("median tokens of a page", median, 2_500)
    report.at_most("most tokens of a page", max(each.tokens for each in seen), 5_000)
    report.at_least("served right, macro", 100 * macro(seen, served_right), 94, " %")
    report.at_most("wrong of the served, macro", 100 * macro(seen, served_wrong), 4, " %")


def _report_lengths(
    report: Report, questions: Sequence[Judged], indexes: dict[str, DocsetIndex]
) -> None:
    heads = ("real right", "all facts", "new right", "all facts", "pooled right", "all facts")
    table = report.table("Pages by length, %", "tokens", "p50", *heads, left=0)
    last: list[Seen] = []
    for most in (*LENGTHS, None):
        last = seen = [_page(each, indexes[each.corpus], most) for each in questions]
        groups = [[s for s in seen if s.question.is_real is is_real] for is_real in (True, False)]
        cells = [pooled(group, figure) for group in (*groups, seen) for figure in (right, complete)]
        median = statistics.median(each.tokens for each in seen)
        name = "until covered" if most is None else f"{most:,}"
        table.add_row(name, f"{median:,.0f}", *(f"{100 * each:.1f}" for each in cells))
        if most == LENGTHS[-1]:
            report.at_least("right pages of 5,000 tokens, pooled", 100 * cells[4], 98, " %")
            report.at_least("all facts on 5,000 tokens, pooled", 100 * cells[5], 92, " %")
    _report_estimate(report, last)


def _page(question: Judged, index: DocsetIndex, most: int | None) -> Seen:
    page = index.retrieve(question.text).page(most)
    return Seen(question, page.text, page.tokens, 0.0, count_tokens(page.text))


def _report_estimate(report: Report, seen: Sequence[Seen]) -> None:
    """Report our estimate of tokens, which `_page` puts in place of the confidence."""
    ratios = sorted(each.confidence / each.tokens for each in seen if each.tokens)
    report.remarks.append(
        f"Estimated by counted tokens: least {ratios[0]:.2f}, p50 {statistics.median(ratios):.2f},"
        f" greatest {ratios[-1]:.2f}."
    )
    report.at_least("estimated by counted tokens of each page", ratios[0], 1)


def _report_times(
    report: Report, questions: Sequence[Judged], indexes: dict[str, DocsetIndex], folder: Path
) -> None:
    heads = ("p50 ms", "p95 ms", "loop held, p99 ms", "loop held, most ms")
    table = report.table("Time of a question (search and page)", "snippets", *heads, left=0)
    snippets = [each for index in indexes.values() for each in index.snippets()]
    texts = [each.text for each in questions]
    for size in SIZES:
        index = _of_size(snippets, size, folder / f"{size}.docset")
        times, held = anyio.run(_timed, index, texts)
        median = statistics.median(times)
        table.add_row(
            f"{index.docset.snippets:,}",
            f"{median:.1f}",
            f"{percentile(times, 0.95):.1f}",
            f"{percentile(held, 0.99):.2f}",
            f"{max(held):.2f}",
        )
        if size in LIMITS:
            report.at_most(f"p50 at {size:,} snippets", median, LIMITS[size], " ms")
        index.close()


LIMITS = {5_000: 5.0, 50_000: 25.0}  # ms


def _of_size(snippets: Sequence[DocSnippet], size: int, file: Path) -> DocsetIndex:
    """Return a docset of so many snippets, taken evenly from all corpora."""
    step = max(1, len(snippets) // size)
    chosen = list(snippets[::step][:size])
    missing = range(size - len(chosen))  # those that there are come again elsewhere
    chosen += [
        replace(each, path=f"copy/{each.path}") for each in map(snippets.__getitem__, missing)
    ]
    write_docset(file, Docset("/bench/size", None, "", "", 0.0, 0.0), chosen)
    return open_docset(file)


async def _timed(index: DocsetIndex, texts: Sequence[str]) -> tuple[list[float], list[float]]:
    """Return the ms of each question, and by how much the event loop was late meanwhile."""
    times: list[float] = []
    late: list[float] = []

    def ask() -> None:
        for text in texts:
            begun = time.perf_counter()
            index.retrieve(text).page()
            times.append(milliseconds_since(begun))

    async def watch() -> None:
        while True:
            begun = time.perf_counter()
            await anyio.sleep(IDLE)
            late.append(milliseconds_since(begun) - 1000 * IDLE)

    ask()
    times.clear()
    prepare_server()
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await to_thread.run_sync(ask)
        group.cancel_scope.cancel()
    return times, late


def _report_memory(report: Report, files: Sequence[Path]) -> None:
    """Open docsets in a process of its own, search each, and report what its memory grew by."""
    done = subprocess.run(
        [sys.executable, "-c", OPENING, str(OPEN), *map(str, files)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    grown = float(done.stdout)
    report.remarks.append(f"{OPEN} docsets open, each searched: {grown:.0f} MiB more.")
    report.at_most(f"memory of {OPEN} open docsets", grown, 60, " MiB")


OPENING = """
import itertools, sys
from pathlib import Path
from context7_fabric.docsets.index import open_docset

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024

first = open_docset(Path(sys.argv[2])); first.retrieve("install and configure the server").page()
before = resident()
files = itertools.islice(itertools.cycle(sys.argv[2:]), int(sys.argv[1]))
held = [open_docset(Path(each)) for each in files]
for each in held: each.retrieve("install and configure the server").page()
print(resident() - before)
"""


if __name__ == "__main__":
    data = {"type": Path, "required": True, "help": "folder of the judged questions and corpora"}
    direct = {"type": Path, "help": "folder of docsets, made if need be; no server, no command"}
    sys.exit(run(__doc__, measure, data=data, direct=direct, quick=QUICK))
