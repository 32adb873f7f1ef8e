"""The queue of runs as files, the worker that takes them, and the processes it starts."""
