"""Configuration files of MCP clients: entries, edits, rules."""
