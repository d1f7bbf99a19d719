"""Python client for library ids, cache first."""

from context7_fabric.client.client import (
    Context7CacheClient,
    get_context7_cache,
    get_library_docs_cached,
)
from context7_fabric.client.source import CachedLibrary

__all__ = [
    "CachedLibrary",
    "Context7CacheClient",
    "get_context7_cache",
    "get_library_docs_cached",
]
