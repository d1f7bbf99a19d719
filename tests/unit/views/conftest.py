"""Fixtures of the call log's tests, for views of the same fabric."""

from unit.call_log.conftest import clock, executions, fabric, views

__all__ = ["clock", "executions", "fabric", "views"]
