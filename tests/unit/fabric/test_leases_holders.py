"""How a process signs its leases, and what is seen of one that has died."""

import os
import subprocess
import sys

import pytest

from context7_fabric.fabric.leases import has_died, holder


def dead() -> bytes:
    """What a process of this machine signed that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return holder().replace(str(os.getpid()).encode(), str(process.pid).encode(), 1)


def test_a_living_process_has_not_died() -> None:
    assert not has_died(holder())


def test_one_that_is_gone_has() -> None:
    assert has_died(dead())


def test_of_another_machine_nobody_knows() -> None:
    assert not has_died(dead() + b" elsewhere")


@pytest.mark.parametrize("signed", [b"", b"1", b"x y", b"\xff \xff", b"-1 here"])
def test_what_nobody_signed_is_nobody_dead(signed: bytes) -> None:
    assert not has_died(signed)


def test_no_two_leases_of_a_process_are_signed_alike() -> None:
    assert len({holder() for _ in range(100)}) == 100


def test_how_an_earlier_release_signed_is_understood() -> None:
    gone, _, machine = dead().partition(b" ")
    earlier = gone.partition(b".")[0] + b" " + machine
    assert has_died(earlier)
    assert not has_died(b"%d " % os.getpid() + machine)
