"""Judged questions about documentation: reading them, judging pages, shares and intervals."""

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from statistics import fmean
from tempfile import TemporaryDirectory

from context7_fabric.docsets.index import DocsetIndex, open_docset, write_docset
from context7_fabric.docsets.ingestion import IngestionReport, ingest
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.sources.source import SourceBounds, SourceTree

RESAMPLES = 1000
QUESTIONS, CORPORA = "questions-dev.jsonl", "dev.tar.xz"
ID = re.compile(r"(/[^/]+/[^/]+)(?:/(.+))?")


@dataclass(frozen=True)
class Judged:
    """Question with the facts that answer it: each a list of texts, one of which must be shown."""

    library: str
    corpus: str
    text: str
    is_real: bool
    facts: Sequence[Sequence[str]]
    where: Sequence[str]

    @property
    def is_answerable(self) -> bool:
        """Tell whether the documentation answers the question."""
        return bool(self.facts)


@dataclass(frozen=True)
class Seen:
    """Judgement of one page: is a fact on it, are all, is it served, and how long is it."""

    question: Judged
    page: str
    confidence: float
    threshold: float
    tokens: int = 0

    @cached_property
    def held(self) -> Sequence[bool]:
        """Tell of each fact whether the page shows it."""
        page = folded(self.page)
        return [any(folded(each) in page for each in fact) for fact in self.question.facts]

    @property
    def is_right(self) -> bool:
        """Tell whether the page shows at least one fact."""
        return any(self.held)

    @property
    def has_all(self) -> bool:
        """Tell whether the page shows all facts."""
        return bool(self.held) and all(self.held)

    @property
    def is_served(self) -> bool:
        """Tell whether the page goes before Context7."""
        return self.confidence >= self.threshold


def folded(text: str) -> str:
    """Fold white space and case, and take back-ticks and asterisks off."""
    return re.sub(r"\s+", " ", re.sub(r"[`*]", "", text)).lower()


def read_questions(file: Path) -> list[Judged]:
    """Read a file with one question a line."""
    lines = map(json.loads, file.read_text("utf-8").splitlines())
    return [
        Judged(
            each["library"], each["corpus"], each["question"], each["real"], each["nuggets"],
            each["where"],
        )
        for each in lines
    ]  # fmt: skip


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the corpora into `folder`, and return it."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def ids_of(questions: Iterable[Judged]) -> dict[str, list[str]]:
    """Return the ids and names by which the questions ask for each corpus, without versions."""
    found: dict[str, list[str]] = {}
    for each in questions:
        parts = ID.fullmatch(each.library)
        if parts is not None and parts[1] not in found.setdefault(each.corpus, []):
            found[each.corpus].append(parts[1])
    return found


def version_of(corpus: str, questions: Iterable[Judged]) -> str | None:
    """Return the version by which a question asks for a corpus, None if none does."""
    asked = (ID.fullmatch(each.library) for each in questions if each.corpus == corpus)
    return next((parts[2] for parts in asked if parts is not None and parts[2]), None)


def build(tree: Path, ids: Sequence[str], file: Path) -> DocsetIndex:
    """Read a folder of documents into a docset without the command, and open it."""
    source = SourceTree(tree, source=str(tree), revision="1")
    ingested = ingest(source, SourceBounds(), IngestionReport())
    facts = Docset(ids[0], None, str(tree), "1", 0.0, 0.0, also=tuple(ids[1:]))
    write_docset(file, facts, ingested.snippets)
    return open_docset(file)


def held_docsets(data: Path, folder: Path, questions: Sequence[Judged]) -> dict[str, DocsetIndex]:
    """Open the docsets of all corpora in `folder`; make those that are not there."""
    folder.mkdir(exist_ok=True)
    files = {corpus: folder / f"{corpus}.docset" for corpus in ids_of(questions)}
    if not all(file.exists() for file in files.values()):
        with TemporaryDirectory(prefix="corpora-") as unpacked:
            trees = unpack(data / CORPORA, Path(unpacked))
            for corpus, ids in ids_of(questions).items():
                build(trees / corpus, ids, files[corpus]).close()
    return {corpus: open_docset(file) for corpus, file in files.items()}


def share(seen: Iterable[Seen], counts: Callable[[Seen], bool]) -> float:
    """Return the share of judgements for which `counts` is true; 0 of none."""
    values = [counts(each) for each in seen]
    return sum(values) / len(values) if values else 0.0


Measure = Callable[[Sequence[Seen]], float | None]
"""Figure of some judgements; None where it is not defined, as of those served among none."""


def right(seen: Sequence[Seen]) -> float | None:
    able = [each for each in seen if each.question.is_answerable]
    return share(able, lambda each: each.is_right) if able else None


def complete(seen: Sequence[Seen]) -> float | None:
    able = [each for each in seen if each.question.is_answerable]
    return share(able, lambda each: each.has_all) if able else None


def served_right(seen: Sequence[Seen]) -> float | None:
    able = [each for each in seen if each.question.is_answerable]
    return share(able, lambda each: each.is_served and each.is_right) if able else None


def served_wrong(seen: Sequence[Seen]) -> float | None:
    served = [each for each in seen if each.is_served]
    return share(served, lambda each: not each.is_right) if served else None


def by_library(seen: Iterable[Seen]) -> Mapping[str, Sequence[Seen]]:
    groups: dict[str, list[Seen]] = {}
    for each in seen:
        groups.setdefault(each.question.corpus, []).append(each)
    return groups


def pooled(seen: Sequence[Seen], figure: Measure) -> float:
    return figure(seen) or 0.0


def macro(seen: Sequence[Seen], figure: Measure) -> float:
    """Return the mean of a figure over the libraries for which it is defined."""
    values = [figure(group) for group in by_library(seen).values()]
    return fmean(defined) if (defined := [each for each in values if each is not None]) else 0.0


def interval(
    seen: Sequence[Seen], figure: Callable[[Sequence[Seen]], float]
) -> tuple[float, float]:
    """Return the 95 % interval of a figure by a bootstrap over libraries, then their questions."""
    draw = Random(17)  # noqa: S311  # a fixed draw, not a secret
    groups = list(by_library(seen).values())
    values = []
    for _ in range(RESAMPLES):
        drawn = [draw.choices(group, k=len(group)) for group in draw.choices(groups, k=len(groups))]
        values.append(figure([each for group in drawn for each in group]))
    values.sort()
    return values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES)]
