"""What is compared: RealFill itself and its baselines (§4.2, §5.1)."""
