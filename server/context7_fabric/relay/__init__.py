"""What an editor starts: a pump between its pipes and the daemon, in a few milliseconds.

Nothing in here imports more than a few modules of the standard library: a test holds the list.
"""
