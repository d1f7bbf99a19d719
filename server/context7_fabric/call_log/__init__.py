"""Call log: records of calls, their statistics, and feedback on answers."""
