"""Process that reads the docstrings of a Python package, without importing anything of it."""
