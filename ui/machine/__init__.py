"""Models and machine: what takes room on the disk, memory and GPUs, weights that are fetched and removed."""
