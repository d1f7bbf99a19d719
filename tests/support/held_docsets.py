"""Docsets of a made-up library, read from small documents and put into a home as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from context7_fabric.docsets.files import DocsetFolder, stem_of
from context7_fabric.docsets.index import write_docset
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.reading.documents import read_document
from support.scripted import NOW

GEARS = "/acme/gears"
"""The library's id, which the catalogue of the stand-in does not have."""

KNOWN = "backlash compensation spindle"
ALIKE = "backlash compensation spindle setup"
NEXT = "torque sensor calibration"
UNKNOWN = "payroll tax declaration"
"""Questions: one that the documents answer, the same again in other words, the next subtopic, and
one that they do not answer."""

DOCUMENTS: Mapping[str, str] = {
    "guide/backlash.md": """# Backlash

## Backlash compensation of a spindle

Every spindle has some play between its teeth. Backlash compensation measures the play once, and
adds it to each change of direction from then on. Set it in the configuration of the spindle, and
measure again after the belt was changed. Values above 0.4 mm show that the spindle is worn and
has to go.

```python
spindle.compensate_backlash(measure=True, limit=0.4)
```
""",
    "guide/torque.md": """# Torque

## Calibration of the torque sensor

The torque sensor drifts with its temperature. Its calibration takes three weights, which are hung
on the lever one after the other while the motor rests. The library computes offset and slope, and
stores both in the profile of the sensor. Repeat the calibration each month, and after each fall
of the sensor.

```python
sensor.calibrate(weights=[0.5, 1.0, 2.0])
```
""",
    "guide/lubrication.md": """# Lubrication

## Lubrication interval

Bearings want oil after five hundred hours, chains after fifty. The planner counts hours for each
part and raises an event when one is due. Events are delivered to every handler that was
registered for the part, and once more each day until the work is confirmed. A part without a plan
raises no event at all.

```python
planner.on_due("bearing", notify_workshop)
```
""",
    "index.md": """# Gears

Gears drives machine tools from Python. It speaks to controllers over a serial line or a network,
and keeps a profile of every motor, sensor and bearing. Install it with pip, open a machine by its
address, and read on in the guide: it has a page for each part, with an example that runs on the
simulator too.

```python
machine = gears.open("simulator")
```
""",
}


def place_docset(
    home: Path,
    library_id: str = GEARS,
    version: str | None = None,
    documents: Mapping[str, str] = DOCUMENTS,
    **facts: Any,  # noqa: ANN401  # fields of a docset
) -> Docset:
    """Put the docset of `documents` into `home`, added now by the fake clock; this blocks."""
    times = {"added_at": NOW, "checked_at": NOW}
    address = "https://gears.example/docs/{path}"
    docset = Docset(
        library_id, version, "/nowhere/docs", "r1", **({"address": address} | times | facts)
    )
    snippets = [
        snippet
        for path, text in documents.items()
        for snippet in read_document(path, text, lambda _path, _target: None).snippets
    ]
    folder, stem = DocsetFolder(home / "docsets"), stem_of(library_id, version)
    with folder.turn(stem, "adds for a test", lambda _task: None) as work:
        docset = write_docset(work / "docset.sqlite", docset, snippets)
        folder.place(work / "docset.sqlite", stem, docset.revision, docset.checked_at)
    return docset
