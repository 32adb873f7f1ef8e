"""Faster ways to the same numbers: LoRA products, U-Net operations, items side by side on a CPU."""
