"""Qdrant as a medium: an entry is a point, which may have a vector."""
