"""The instant draft: references laid over the hole by planes, meshes and depth, by OpenCV and numpy."""
