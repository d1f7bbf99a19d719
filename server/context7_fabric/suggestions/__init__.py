"""Ranked suggestions for phrases that name no library."""
