"""Many scenes at once: executors."""
