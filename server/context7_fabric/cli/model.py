"""`model fetch|status`: the embedding model that ranks suggestions.

A worker process loads and downloads the model, as in serving. Only `fetch` uses the network.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from context7_fabric.cli.output import print_json
from context7_fabric.cli.progress import ProgressBar, ProgressLines, interrupted, progress
from context7_fabric.cli.text import CommandParser, print_error, print_note, print_text
from context7_fabric.process import set_up_logging
from context7_fabric.settings import read_settings
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.worker.process import WorkerProcess, open_link

_LOAD_SECONDS = 60.0
_FETCH_SECONDS = 3600.0
_LOOK_SECONDS = 0.2


def run(words: list[str]) -> int:
    """Download or check the model; exit code 1 if it is not there afterwards."""
    parser = CommandParser(
        "context7-fabric model",
        description="Download or check the embedding model that ranks suggestions.",
    )
    parser.add_argument("what", choices=("fetch", "status"))
    parser.add_argument("--json", action="store_true", help="the state as a JSON object")
    options = parser.parse_args(words)
    settings = read_settings(os.environ)
    set_up_logging(settings.log_level)
    work = _fetch if options.what == "fetch" else _status
    try:
        return anyio.run(work, settings.suggestions, options.json)
    except KeyboardInterrupt:
        return interrupted("what has arrived is kept; run `model fetch` again to go on")


async def _status(settings: SuggestionSettings, as_json: bool) -> int:  # noqa: FBT001  # by anyio.run
    async with open_link(_LOAD_SECONDS) as link:
        state = await _state(link, settings)
    return _tell(state, as_json=as_json)


async def _fetch(settings: SuggestionSettings, as_json: bool) -> int:  # noqa: FBT001  # by anyio.run
    if settings.model_path is not None:
        print_note(f"the model is in {settings.model_path}: nothing is downloaded")
        return await _status(settings, as_json)
    async with open_link(_FETCH_SECONDS) as link:
        state = await _state(link, settings)
        if not state["ready"]:
            trouble = await _download(link, settings)
            state = {**state, "trouble": trouble} if trouble else await _state(link, settings)
    return _tell(state, as_json=as_json)


async def _download(link: WorkerProcess, settings: SuggestionSettings) -> str | None:
    """Download the model and show the progress; return the failure."""
    folder = str(settings.model_folder)
    size = await link.request("describe", _LOAD_SECONDS, model=settings.model) or {}
    total = size["megabytes"] * 10**6 if "megabytes" in size else None
    with progress(settings.model) as shown:
        async with anyio.create_task_group() as watching:
            watching.start_soon(_watch, settings.model_folder, shown, total)
            reply = await link.request(
                "fetch", _FETCH_SECONDS, model=settings.model, model_folder=folder
            )
            watching.cancel_scope.cancel()
    if reply is None:
        return "the download ended early"
    return str(reply["error"]) if "error" in reply else None


async def _watch(folder: Path, shown: ProgressBar | ProgressLines, total: float | None) -> None:
    """Show the growth of the files in `folder`, until cancelled."""
    before = await anyio.to_thread.run_sync(_size, folder)
    of = "" if total is None else f" of {total / 1e6:,.0f}"
    while True:
        size = await anyio.to_thread.run_sync(_size, folder) - before
        shown.done(size, total, f"{size / 1e6:,.0f}{of} MB")
        await anyio.sleep(_LOOK_SECONDS)


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # a temporary file that was renamed meanwhile
            found = path.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


async def _state(link: WorkerProcess, settings: SuggestionSettings) -> dict[str, Any]:
    """Return the state of the model, with the reason if it cannot be loaded."""
    place = settings.model_path or settings.model_folder
    reply = await link.request("hello", _LOAD_SECONDS, **replace(settings, qdrant_url=None).hello())
    named = {"model": settings.model, "place": str(place)}
    if reply is None or "error" in reply:
        trouble = reply["error"] if reply else "the worker does not start"
        return {**named, "ready": False, "dimension": None, "trouble": trouble}
    return {**named, "ready": True, "dimension": reply["dimension"], "trouble": None}


def _tell(state: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(state)
    elif state["ready"]:
        print_text(
            f"{state['model']} is there, in {state['place']} ({state['dimension']} dimensions)"
        )
    else:
        print_error(str(state["trouble"]))
    return 0 if state["ready"] else 1
