"""Run pytest with the given options, and the tests that failed a second time, alone.

A stall of a shared machine decides over no change then, while a broken change fails twice. The exit
code is pytest's own: that of the second run where there is one.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MOST = 10
"""Largest number of failed tests that are run again; more than that is no accident."""

TESTS_FAILED = 1
"""Code of pytest where every test ran; the others are of runs that broke off."""

FAILED = Path(".pytest_cache/v/cache/lastfailed")
ALONE = ("-n", "0", "--last-failed", "--last-failed-no-failures", "none")


def run_twice(options: Sequence[str]) -> int:
    """Return the exit code of pytest with `options`, once the failed tests had a second try."""
    FAILED.unlink(missing_ok=True)  # it keeps those of earlier runs
    code = _pytest(options)
    failed = _failed()
    if code != TESTS_FAILED or not 0 < len(failed) <= MOST:
        return code
    print(f"\nRunning the failed tests again, alone: {len(failed)}", flush=True)
    code = _pytest([*options, *ALONE])
    if passed := sorted(failed - _failed()):
        print("\npassed alone, after failing beside the others: a defect of the test to mend")
        print("\n".join(f"  {name}" for name in passed), flush=True)
    return code


def _pytest(options: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *options], check=False).returncode


def _failed() -> set[str]:
    """Return the names of the tests that failed, as pytest keeps them for its next run."""
    try:
        return set(json.loads(FAILED.read_text("utf-8")))
    except FileNotFoundError:
        return set()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)  # pytest gets it as well, and ends in its own way
    sys.exit(run_twice(sys.argv[1:]))
