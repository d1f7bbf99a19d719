"""The worker: a process of its own that holds the embedding model and the vector indexes.

`wire`, `settings`, `link`, `mirror` and `keeper` belong to the serving process's side and import
nothing heavy; the rest runs inside the worker only.
"""
