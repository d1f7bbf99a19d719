"""Context7 answers from a local cache, with upstream behind it."""

__version__ = "0.1.0"
