"""Relay: the process that an editor starts, which connects its pipes to a daemon in milliseconds.

It imports only a few modules of the standard library; a test holds the list.
"""
