"""The instant draft: references warped over the hole by planes, meshes and depth, by OpenCV and numpy."""
