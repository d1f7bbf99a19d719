"""One worker for all principals of a server, each with its own rows."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from context7_fabric.settings.values import DEFAULT_MODEL
from support.client import asked
from support.processes import children_of, wait_gone
from support.product import Served, product_at_port, product_environment

ANN, BOB = "ctx7sk-ann", "ctx7sk-bob"
WORKER = b"context7_fabric.suggestions.worker"
MEANT = "make a printable document file"

PRIVATE = "/ann/inkwell"
TAUGHT = {
    "documents": ["inkwell"],
    "ids": ["inkwell"],
    "metadatas": [
        {"library_name": "inkwell", "library_id": PRIVATE, "aliases": ["pdf-document-printer"]}
    ],
}
SEED = """
version: "1.0"
ttl_days: 30
categories:
  text:
    description: "Text"
    libraries:
      - {name: reportlab, ecosystem: pypi, id: "/seed/reportlab", description: "PDF files"}
      - {name: httpx, ecosystem: pypi, id: "/seed/httpx", description: "HTTP client"}
"""
LONG = 45.0


@dataclass(frozen=True)
class SharedServer:
    """A server that suggests by meaning, because upstream is off."""

    served: Served

    def teach(self, key: str, lesson: object) -> None:
        reply = asked(self.served, "/index", {"x-api-key": key}, lesson)
        assert reply.json()["indexed"] == 1

    def found(self, key: str) -> dict[str, str]:
        """Return the ids that a principal is shown for the phrase, and the ranking of each."""
        asking = {"query": MEANT, "n_results": 50}
        results = asked(self.served, "/query", {"x-api-key": key}, asking).json()["results"]
        return {each["metadata"]["library_id"]: each["ranked_by"] for each in results}

    def by_meaning(self, key: str) -> set[str]:
        """Return the ids that a principal is shown, once the worker ranks them."""
        deadline = time.monotonic() + LONG
        while "vectors" not in (found := self.found(key)).values():
            assert time.monotonic() < deadline, found
            with suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"it ended with {self.served.process.wait(0.1)}")
        return set(found)

    def workers(self) -> set[int]:
        found = set()
        for pid in children_of(self.served.process.pid):
            if WORKER in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
        return found


@pytest.fixture
def shared(home: Path, model: Path) -> Iterator[SharedServer]:
    home.mkdir(parents=True, exist_ok=True)
    seed = home / "seed.yaml"
    seed.write_text(SEED, encoding="utf-8")
    own = {
        "CONTEXT7_FABRIC_UPSTREAM": "off",
        "CONTEXT7_FABRIC_MODEL": DEFAULT_MODEL,
        "CONTEXT7_FABRIC_MODEL_PATH": str(model),
        "CONTEXT7_FABRIC_SEED": str(seed),
    }
    with product_at_port("http", product_environment(home, own)) as served:
        yield SharedServer(served)


def test_keys_share_a_worker_and_none_is_shown_rows_of_another(
    shared: SharedServer,
) -> None:
    shared.teach(ANN, TAUGHT)
    assert PRIVATE in shared.by_meaning(ANN)
    assert PRIVATE not in shared.by_meaning(BOB)
    (worker,) = shared.workers()
    os.kill(worker, signal.SIGKILL)
    wait_gone([worker], LONG)
    assert PRIVATE not in shared.by_meaning(BOB)
    assert PRIVATE in shared.by_meaning(ANN)
    assert len(shared.workers() - {worker}) == 1
