"""An entry knows when it is past its end."""

from __future__ import annotations

import pytest

from context7_fabric.fabric.context import Context, Scope


@pytest.mark.parametrize(
    ("expires_at", "now", "alive"),
    [(None, 1e12, True), (100.0, 99.9, True), (100.0, 100.0, False), (100.0, 100.1, False)],
)
def test_an_entry_lives_until_its_end(expires_at: float | None, now: float, alive: bool) -> None:
    context = Context("key", None, Scope.GLOBAL, created_at=0.0, expires_at=expires_at)
    assert context.alive(now) is alive


def test_the_scopes_are_called_as_users_write_them() -> None:
    assert [str(scope) for scope in Scope] == ["GLOBAL", "EXECUTION", "FEEDBACK", "USER"]
