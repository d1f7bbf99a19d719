"""Labelled look-ups through the real command, and an upstream that lists by shared words."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from context7_fabric.parsing.libraries import Library, format_list
from support.listener import serving
from support.mcp_upstream import McpUpstream
from support.product import product_environment, run_product
from support.scripted import docs_text

LISTED = 5
MODES = ("off", "listed", "listed again", "off after listed")
NAME_LIKE = ("pos_exact", "pos_case_punct", "pos_version", "pos_suffix", "pos_alias")


@dataclass(frozen=True)
class Case:
    """A look-up; without an `expected_id` every id is wrong."""

    query: str
    kind: str
    expected_id: str | None


@dataclass(frozen=True)
class Known:
    """A library of a registry."""

    name: str
    id: str
    aliases: tuple[str, ...] = ()
    ecosystem: str = "pypi"


def read_cases(path: Path) -> list[Case]:
    """Return the look-ups of a file that has a JSON object a line."""
    entries = map(json.loads, path.read_text("utf-8").splitlines())
    return [Case(each["query"], each["kind"], each["expected_id"]) for each in entries]


def read_registry(path: Path) -> list[Known]:
    return [
        Known(each["name"], each["id"], tuple(each["aliases"]), each["eco"])
        for each in json.loads(path.read_text("utf-8"))
    ]


def seed_text(registry: Iterable[Known]) -> str:
    """Return a seed file of `registry`: JSON is YAML."""
    libraries = [
        {
            "name": each.name,
            "id": each.id,
            "aliases": list(each.aliases),
            "ecosystem": each.ecosystem,
        }
        for each in registry
    ]
    return json.dumps({"categories": {"all": {"libraries": libraries}}}, indent=1)


class WordUpstream(McpUpstream):
    """Lists every library that shares a word of its name with the look-up, and pads with others."""

    def __init__(self, registry: Sequence[Known]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.said: str | None = None  # in place of every answer
        self._registry = registry

    def _called(self, params: dict[str, Any]) -> dict[str, Any]:
        asked = params["arguments"]
        if self.said is not None:
            text = self.said
        elif params["name"] != "resolve-library-id":
            text = docs_text(asked)
        else:
            self.asked.append(asked["libraryName"])
            text = format_list(map(_entry, self.listed(asked["libraryName"])))
        return {"result": {"content": [{"type": "text", "text": text}]}}

    def listed(self, name: str) -> list[Known]:
        """The libraries that are listed for `name`, those that share a word first."""
        wanted = _words(name)
        sharing = [each for each in self._registry if wanted & _words(each.name)]
        # Each name has its own padding, so that none is beside every name.
        start = sum(map(ord, name)) % len(self._registry)
        turned = [*self._registry[start:], *self._registry[:start]]
        padding = [each for each in turned if each not in sharing]
        return sharing + padding[: max(0, LISTED - len(sharing))]


@contextmanager
def word_upstream(registry: Sequence[Known]) -> Iterator[WordUpstream]:
    upstream = WordUpstream(registry)
    with serving(upstream) as port:
        upstream.url = f"http://127.0.0.1:{port}/mcp"
        yield upstream


def _entry(library: Known) -> Library:
    return Library(
        id=library.id,
        title=library.name,
        description=f"About {library.name}.",
        snippets=100,
        reputation="High",
        trust_score=None,
        benchmark=None,
        versions=(),
        source=None,
        text="",
    )


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.casefold()))


def look_up(
    cases: Sequence[Case], home: Path, seed: Path, upstream: str, seconds: float = 50
) -> list[dict[str, Any]]:
    """Return what one `resolve - --json` says of each of `cases`, in their order."""
    variables: Mapping[str, str] = {
        "CONTEXT7_FABRIC_SEED": str(seed),
        "CONTEXT7_FABRIC_UPSTREAM": upstream,
    }
    environment = product_environment(home, variables)
    typed = "".join(f"{case.query}\n" for case in cases)
    done = run_product("resolve", "-", "--json", env=environment, typed=typed, seconds=seconds)
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    if [each["query"] for each in found] != [case.query.strip() for case in cases]:
        raise AssertionError(f"not every name was answered: {done.stderr[-2000:]}")
    return found


def is_wrong(case: Case, found: Mapping[str, Any]) -> bool:
    """Return True if the look-up printed another id than the expected one."""
    return found["library_id"] not in (None, case.expected_id)


def is_missed(case: Case, found: Mapping[str, Any]) -> bool:
    return case.kind in NAME_LIKE and found["library_id"] != case.expected_id


@dataclass(frozen=True)
class LookUpRuns:
    """Output of each look-up by mode, and the names that upstream was asked."""

    by_mode: Mapping[str, Mapping[str, dict[str, Any]]]
    asked: list[str]


def looked_up(cases: list[Case], registry: list[Known], folder: Path) -> LookUpRuns:
    """Look `cases` up in every mode; in the last two on the home that "listed" left."""
    seed = folder / "seed.yaml"
    seed.write_text(seed_text(registry), "utf-8")
    by_mode = {}
    with word_upstream(registry) as upstream:
        for mode in MODES:
            home = folder / ("off" if mode == "off" else "listed")
            url = "off" if mode.startswith("off") else upstream.url
            found = look_up(cases, home, seed, url)
            by_mode[mode] = {case.query: each for case, each in zip(cases, found, strict=True)}
            cases = [*reversed(cases)]  # what one leaves behind is there for others
        return LookUpRuns(by_mode, upstream.asked)
