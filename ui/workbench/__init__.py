"""The scene's workbench: references, target and the canvas on which the mask is painted, as one component."""
