"""HTTP server: authentication, limits, MCP and REST for each identity, and public routes."""
