"""Lets pytest show the values in a contract's assertions, as it does in test files."""

import pytest

pytest.register_assert_rewrite(
    "contracts.backend_contract",
    "contracts.fabric_contract",
    "contracts.index_contract",
    "contracts.order_contract",
    "contracts.source_contract",
    "contracts.vector_contract",
)
