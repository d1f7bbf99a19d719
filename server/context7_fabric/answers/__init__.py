"""Answers: the read-through cache for look-ups and questions, and what helps out in an outage."""
