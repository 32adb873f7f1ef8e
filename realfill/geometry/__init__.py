"""How references lie over the target: points, models, warps, colour, scores and seams, by OpenCV and numpy.

Everything here works in one frame, the target at a working size; a reference enters it by a map, (h, w, 2)
float32: for each pixel of the frame the position x, y in the reference's working picture.
"""
