"""Search by meaning without the model, with a wrong one, and during its download."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from context7_fabric.embedding import AsyncEmbedder
from support.model import hub, no_hub
from support.vector_fabrics import QUESTION, TEXTS, on_folder


async def test_a_model_of_another_size_is_an_error_that_names_both(
    tmp_path: Path, model: Path
) -> None:
    for embedder in (AsyncEmbedder(model, vector_size=5), AsyncEmbedder(vector_size=5)):
        async with on_folder(tmp_path, embedder) as fabric:
            with pytest.raises(ValueError, match=r"have 384 numbers, and vector_size is 5"):
                await fabric.search(QUESTION)


async def test_an_unknown_model_is_an_error(tmp_path: Path) -> None:
    async with on_folder(tmp_path, AsyncEmbedder("no-such/model")) as fabric:
        with pytest.raises(ValueError, match="no-such/model"):
            await fabric.search(QUESTION)


async def test_a_folder_without_a_model_leaves_the_ranking_to_words(tmp_path: Path) -> None:
    async with on_folder(tmp_path / "store", AsyncEmbedder(tmp_path)) as fabric:
        await fabric.set_many(TEXTS)
        (match,) = await fabric.search(QUESTION)
    assert (match.key, match.ranked_by) == ("prompt:python", "words")


PROGRAM = """
import asyncio, json, logging, sys, threading, time
from pathlib import Path
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend, QdrantVectorIndex
from context7_fabric.fabric.vector_index_memory import MemoryVectorIndex
from context7_fabric.embedding import AsyncEmbedder
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import VectorSearch

HEAVY = {"qdrant_client", "fastembed", "numpy", "onnxruntime", "huggingface_hub"}

async def main(folder, cache):
    QdrantVectorIndex(QdrantBackend("http://localhost:1"))
    backend = DiskBackend(folder)
    search = VectorSearch(MemoryVectorIndex(backend), AsyncEmbedder(cache_dir=cache))
    fabric = Fabric(backend, searcher=search)
    await fabric.set_context("key", "You are a helpful assistant focused on Python")
    await fabric.get_context("key")
    print(json.dumps(sorted(HEAVY & set(sys.modules))))
    for _ in range(3):
        (match,) = await fabric.search("Python programming help")
        downloads = [each for each in threading.enumerate() if each.name == "model-download"]
        print(json.dumps([match.ranked_by, len(downloads)]))
        for download in downloads:
            download.join()

logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
time.sleep = lambda seconds: None  # fastembed's, between its tries
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def printed_and_logged(folder: Path, **variables: str) -> tuple[list[object], str]:
    """Run a process without a model; return its early imports and each search, and its log."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder / "store"), str(folder / "cache")],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.usefixtures("model")
def test_words_rank_until_the_model_has_come_and_nothing_is_loaded_before_it_is_used(
    tmp_path: Path,
) -> None:
    with hub() as variables:
        said, _ = printed_and_logged(tmp_path, **variables)
    assert said == [[], ["words", 1], ["vectors", 0], ["vectors", 0]]


def test_without_a_network_words_rank_and_one_line_says_what_to_do(tmp_path: Path) -> None:
    with no_hub() as variables:
        said, log = printed_and_logged(tmp_path, **variables)
    assert said == [[], ["words", 1], ["words", 0], ["words", 0]]
    (line,) = [line for line in log.splitlines() if line.startswith("context7_fabric")]
    assert "cannot be downloaded" in line
    assert "embedding_model" in line


@pytest.mark.usefixtures("model")
def test_where_the_hub_is_switched_off_nothing_is_downloaded(tmp_path: Path) -> None:
    with hub() as variables:
        said, _ = printed_and_logged(tmp_path, HF_HUB_OFFLINE="1", **variables)
    assert said == [[], ["words", 0], ["words", 0], ["words", 0]]
