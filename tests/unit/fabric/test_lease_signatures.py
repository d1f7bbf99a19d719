"""Signatures of leases identify their process, and show whether it is dead."""

import os
import subprocess
import sys

import pytest

from context7_fabric.fabric.leases import is_dead, new_signature


def dead() -> bytes:
    """The signature of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return new_signature().replace(str(os.getpid()).encode(), str(process.pid).encode(), 1)


def test_a_live_process_is_not_dead() -> None:
    assert not is_dead(new_signature())


def test_a_process_that_has_ended_is_dead() -> None:
    assert is_dead(dead())


def test_a_process_of_another_machine_is_never_dead() -> None:
    assert not is_dead(dead() + b" elsewhere")


@pytest.mark.parametrize("signed", [b"", b"1", b"x y", b"\xff \xff", b"-1 here"])
def test_a_foreign_signature_is_not_dead(signed: bytes) -> None:
    assert not is_dead(signed)


def test_signatures_of_a_process_are_unique() -> None:
    assert len({new_signature() for _ in range(100)}) == 100
