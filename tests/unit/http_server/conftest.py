"""Fixtures of the tests of the REST API."""

from support.rest_fixtures import app, clock, http

__all__ = ["app", "clock", "http"]
