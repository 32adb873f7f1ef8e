"""Decoding of what was uploaded, in processes of their own with bounded memory and time."""
