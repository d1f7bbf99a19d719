"""Process that refreshes one docset behind an answer; `DocsetLibrary.refresh_behind` starts it.

Its task is one line of JSON on standard input. It ends when that is closed: with its parent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from context7_fabric.docsets.ingestion import IngestionReport
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.errors import FabricError
from context7_fabric.models import Viewer
from context7_fabric.settings.values import DocsetSettings

LESS_URGENT = 10
"""Added to the nice value: answers go first."""


def main() -> int:
    """Run the task; exit code 1 if the docset is as old as before."""
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if sys.platform != "win32":
        with suppress(OSError):
            os.nice(LESS_URGENT)
    settings = task["settings"] | {"hosts": frozenset(task["settings"]["hosts"])}
    library = DocsetLibrary(Path(task["folder"]), DocsetSettings(**settings))
    try:
        for docset in library.all(Viewer(owner=task["owner"])):
            if docset.name == task["name"]:
                library.refresh(docset, IngestionReport())
    except FabricError as error:
        print(error)  # noqa: T201  # the parent logs it
        return 1
    return 0


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
