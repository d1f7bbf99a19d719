"""What is told of calls to those who watch the server."""
