"""Lets pytest show the values in a contract's assertions; the app behind a service's contract."""

import pytest

from support.rest import app, clock

__all__ = ["app", "clock"]

pytest.register_assert_rewrite(
    "contracts.backend_contract",
    "contracts.fabric_contract",
    "contracts.index_contract",
    "contracts.order_contract",
    "contracts.source_contract",
    "contracts.swap_contract",
    "contracts.vector_contract",
)
