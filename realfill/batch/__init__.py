"""Many scenes at once, each an ordinary run folder: what to do, on which engine, and what came of it."""
