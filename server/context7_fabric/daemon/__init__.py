"""The daemon: the process that serves all editors of one user, and what it answers them."""
