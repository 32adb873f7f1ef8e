"""The run folder: what was asked, what exists, what leaves it."""
