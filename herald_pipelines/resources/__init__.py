"""Adapters: the only rooms that do I/O. Not here: decisions."""
