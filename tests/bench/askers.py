"""A client that asks again and again while upstream is away, for `recoveries.py`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from support.catalogue import Catalogue
from support.client import META_KEY, Dialogue, talking, texts_of
from support.product import PROGRAM, product_environment

_STARTING = Lock()
LIBRARY = Catalogue().libraries[0].id
AGAIN_SECONDS = 0.1
GIVE_UP_SECONDS = 75.0
RIGHT = ("miss", "hit", "stale")
RESTART_SECONDS = 2.0
"""What is promised after a restart."""


@dataclass(frozen=True)
class Recovery:
    """What a client got meanwhile and how soon, how many calls went out, and when it was over."""

    name: str
    outcome: str
    text: str
    seconds: float
    calls: int
    back_after: float | None
    allowed: float

    @property
    def kept(self) -> bool:
        """Tell whether the promise was kept."""
        return self.back_after is not None and self.back_after <= self.allowed


@dataclass
class Asker:
    """A client that asks something else each time."""

    server: Dialogue
    number: int = 0
    first: tuple[str, str, float] | None = None

    def start(self) -> int:
        """Ask without waiting."""
        self.number += 1
        arguments = {"libraryId": LIBRARY, "query": f"How do parts work, number {self.number}?"}
        return self.server.start("tools/call", name="query-docs", arguments=arguments)

    def ask(self) -> str:
        """Return how a call ended; the first one is kept as what clients get meanwhile."""
        begun = time.perf_counter()
        result = self.server.reply(self.start())
        outcome = result["_meta"][META_KEY]["outcome"]
        if self.first is None:
            self.first = outcome, _first_words(result), time.perf_counter() - begun
        return str(outcome)

    def ask_for(self, seconds: float) -> None:
        """Ask again and again for a while."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.ask()
            time.sleep(AGAIN_SECONDS)

    def answered(self) -> float | None:
        """Ask until a right answer comes; return after how many seconds, None if it never does."""
        begun = time.perf_counter()
        while self.ask() not in RIGHT:
            if time.perf_counter() - begun > GIVE_UP_SECONDS:
                return None
            time.sleep(AGAIN_SECONDS)
        return time.perf_counter() - begun

    def recovery(
        self, name: str, calls: int, back_after: float | None, allowed: float = RESTART_SECONDS
    ) -> Recovery:
        """Return what was seen."""
        outcome, text, seconds = self.first or ("", "", 0.0)
        return Recovery(name, outcome, text, seconds, calls, back_after, allowed)


def _first_words(result: Mapping[str, Any]) -> str:
    return " ".join(" ".join(texts_of(dict(result))).split())[:160]


@contextmanager
def asking(home: Path, daemon: str, **variables: str) -> Iterator[Asker]:
    """A product of its own in front of an upstream."""
    named = {f"CONTEXT7_FABRIC_{name}": value for name, value in variables.items()}
    told = {**named, "CONTEXT7_FABRIC_DAEMON": daemon}
    with started(product_environment(home, told)) as server:
        yield Asker(server)


@contextmanager
def started(environment: Mapping[str, str]) -> Iterator[Dialogue]:
    """A product that has started, one at a time: many at once would be timed on a busy machine."""
    with ExitStack() as stack:
        with _STARTING:
            server = stack.enter_context(talking([PROGRAM], environment))
        yield server


def see_well(asker: Asker) -> None:
    """Let it ask once while upstream is well."""
    assert asker.ask() == "miss", asker.first
    asker.first = None
