"""One file a tab: its components, and handlers that are functions of plain values."""
