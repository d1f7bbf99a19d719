"""Composition: the process-wide runtime, its apps, their pool, the store and its health."""
