"""What a person brings: references, target and mask as one checked scene, from a folder, a zip or an example."""
