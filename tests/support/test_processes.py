"""Processes of tests are found, waited for, and seen to end."""

import os
import signal

import pytest

from support.processes import children_of, spawn, wait_gone


def test_descendants_are_found_and_waited_for() -> None:
    script = "tail -f /dev/null & echo $!; wait"
    with spawn(["sh", "-c", script]) as shell:
        child = int(shell.out.wait_for(r"^\d+$")[0])
        assert children_of(os.getpid()) >= {shell.pid, child}
        assert children_of(shell.pid) == {child}
        os.kill(shell.pid, signal.SIGKILL)
        wait_gone([shell.pid], 5)
        with pytest.raises(AssertionError, match="tail"):
            wait_gone([shell.pid, child], 0.01)
        os.kill(child, signal.SIGKILL)
        wait_gone([shell.pid, child], 5)


def test_a_line_that_does_not_come_is_reported_with_those_that_did() -> None:
    with spawn(["sh", "-c", "echo one >&2"]) as shell:
        with pytest.raises(TimeoutError, match="one"):
            shell.err.wait_for("two")
        assert shell.wait() == 0
