"""Worker process with the embedding model and the vector indexes.

`process` and `wire` also run in the serving process and import nothing heavy; the rest runs in the
worker only.
"""
