"""Filling the hole, one generator a seed (§3.4)."""
