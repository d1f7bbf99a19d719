"""REST API: libraries by name over plain HTTP."""
