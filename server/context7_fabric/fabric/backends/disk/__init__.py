"""A folder as a medium: a SQLite database in diskcache's format."""
