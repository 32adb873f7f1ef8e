"""The tables as a page and as markdown."""
