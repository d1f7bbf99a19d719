"""Where the time of a start in process goes: what Python says that its imports take."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from tempfile import TemporaryFile

from bench.contestants import Contestant
from bench.pipes import Pipes

LINE = re.compile(r"^import time: +(\d+) \| +\d+ \| +([\w.]+)$", re.MULTILINE)
STANDARD = "the standard library"


def import_times(contestant: Contestant, times: int) -> Mapping[str, float]:
    """Return the ms that modules of each distribution take themselves, the most first.

    Medians of so many starts that end after the reply to initialize.
    """
    seen = [by_package(_profile(contestant)) for _ in range(times)]
    names = {name for each in seen for name in each}
    medians = {name: statistics.median(each.get(name, 0.0) for each in seen) for name in names}
    return dict(sorted(medians.items(), key=lambda pair: -pair[1]))


def by_package(profile: str) -> Mapping[str, float]:
    """Return the ms of each package's own modules, out of what Python wrote."""
    spent: defaultdict[str, float] = defaultdict(float)
    for microseconds, module in LINE.findall(profile):
        name = module.partition(".")[0]
        spent[STANDARD if name in sys.stdlib_module_names else name] += int(microseconds) / 1000
    return spent


def _profile(contestant: Contestant) -> str:
    environment = {**contestant.environment, "PYTHONPROFILEIMPORTTIME": "1"}
    with TemporaryFile("w+") as told:
        pipe = subprocess.PIPE
        child = subprocess.Popen(
            contestant.command, env=environment, stdin=pipe, stdout=pipe, stderr=told
        )
        with child:
            assert child.stdin is not None
            assert child.stdout is not None
            Pipes(child.stdin, child.stdout).introduce()
            child.stdin.close()
        told.seek(0)
        return told.read()
