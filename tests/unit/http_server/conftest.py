"""What the tests of the REST face share."""

from support.rest_fixtures import app, clock, http

__all__ = ["app", "clock", "http"]
