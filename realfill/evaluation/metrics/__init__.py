"""The metrics of §4.2."""
