"""The real Context7, as an MCP client sees it."""
