"""Bases and the code that drives them: backbones, LoRA, diffusion schedulers."""
