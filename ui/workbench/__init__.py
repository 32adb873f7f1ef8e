"""The scene's workbench: references, target and the mask that is painted on it, as one component."""
