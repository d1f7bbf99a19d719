"""The product as a user starts it: the command beside this Python, and a clean environment."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.upstreams import clean_environment

PROGRAM = str(Path(sys.executable).with_name("context7-fabric"))
SECONDS = 20
Variables = Mapping[str, str]


def product_environment(home: Path, variables: Variables | None = None) -> dict[str, str]:
    """The environment of the product on a home of its own; `variables` say where upstream is."""
    return clean_environment({"CONTEXT7_FABRIC_HOME": str(home), **(variables or {})})


def run_product(
    *words: str, env: Mapping[str, str], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with `typed` on its standard input."""
    return subprocess.run(
        [PROGRAM, *words],
        env=env,
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
