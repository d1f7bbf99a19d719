"""Redis as a medium: entries in hashes, indexes kept by Lua scripts."""
