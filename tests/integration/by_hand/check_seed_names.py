"""Ask PyPI and npm whether the names in the seed file are real.

Run by hand, where both registries can be reached:

    .venv/bin/python tests/integration/by_hand/check_seed_names.py [--only NAME...]

Each name is looked up once, one after the other, through the registry's own client, so that its
mirrors and proxies are used: a few minutes for the whole file. pip sees a package with this
Python's eyes, and one that publishes no file for it looks missing. Names of other ecosystems are
not checked. Missing names are printed. Exit code: 0 all are there, 1 some are missing, 2 wrong
usage or a registry that cannot be asked.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import load_seeds


@dataclass(frozen=True, slots=True)
class Registry:
    """The client of a package registry, and a name that the registry certainly has."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    known: str

    def has(self, name: str) -> bool:
        """Tell whether the client finds `name`; also false when the client fails."""
        command = [*self.before, name, *self.after]
        try:
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries=1")
REGISTRIES = {
    "pypi": Registry((*PIP, "index", "versions", "--pre", "--ignore-requires-python"), (), "pip"),
    "npm": Registry(("npm", "view"), ("version",), "npm"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the names, all or those after `--only`, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check the seed file's names in PyPI and npm.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="check these names only")
    only: list[str] | None = parser.parse_args(arguments).only

    seeds = [seed for seed in load_seeds().rows if seed.ecosystem in REGISTRIES]
    if only is not None:
        unknown = set(only) - {seed.title for seed in seeds}
        if unknown:
            parser.error(f"no pypi or npm name in the seed file: {', '.join(sorted(unknown))}")
        seeds = [seed for seed in seeds if seed.title in only]

    for ecosystem in sorted({seed.ecosystem for seed in seeds}):
        registry = REGISTRIES[ecosystem]
        if not registry.has(registry.known):
            sys.stderr.write(f"{ecosystem} cannot be asked: {' '.join(registry.before)} fails\n")
            return 2
    return _report(seeds)


def _report(seeds: Sequence[Row]) -> int:
    missing = 0
    for seed in seeds:
        if not REGISTRIES[seed.ecosystem].has(seed.title):
            missing += 1
            sys.stdout.write(f"{seed.ecosystem} has no {seed.title}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(seeds)} names checked, {missing} missing\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
