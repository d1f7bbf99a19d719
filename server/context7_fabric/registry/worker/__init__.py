"""The worker: a process of its own that holds the embedding model and the vector index.

`wire`, `settings`, `link` and `mirror` belong to the serving process's side and import nothing
heavy; the rest runs inside the worker only.
"""
