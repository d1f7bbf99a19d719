"""The process behind the windows: who may come in, what it does for them, and when it ends."""
