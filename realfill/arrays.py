"""Arrays by what they hold, everywhere the same names.

Shapes: H W rows and columns of a photo at its own size, h w of a picture that was brought to a working size; K, N
points. Points are (x, y), pixel centres at whole numbers.
"""

import numpy as np
import numpy.typing as npt

# Pictures
Photo = npt.NDArray[np.uint8]  # (H, W, 3), sRGB, upright: what models see
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # (H, W) or (H, W, 3 or 4): a file's own code values
Hole = npt.NDArray[np.bool_]  # (H, W), True = missing (the paper's M = 1)
Alpha = npt.NDArray[np.float32]  # (H, W), 0 keeps, 1 replaces
Colours = npt.NDArray[np.float32]  # (h, w, 3), grey levels, may exceed 0..255

# A value a pixel
Confidence = npt.NDArray[np.float32]  # (h, w), 0..1: how far references vouch for a pixel, 1 where it is known
Weight = npt.NDArray[np.float32]  # (h, w), 0..1: how much a pixel counts, 0 where there is none
Field = npt.NDArray[np.float32]  # (h, w) or (h, w, C): any other values
Labels = npt.NDArray[np.int8]  # (h, w), the number of a source, -1: none
WarpMap = npt.NDArray[np.float32]  # (h, w, 2): x, y in another picture for each pixel of this one; nan: nowhere
CostVolume = npt.NDArray[np.float32]  # (h, w, levels): what each level costs in each pixel

# Points and what belongs to each of them
Points = npt.NDArray[np.float64]  # (K, 2)
Points32 = npt.NDArray[np.float32]  # (K, 2), as OpenCV and networks give them
SpacePoints = npt.NDArray[np.float64]  # (K, 4), homogeneous
Descriptors = npt.NDArray[np.float32]  # (N, 128), unit length
Vector = npt.NDArray[np.float64]  # (K,)
Vector32 = npt.NDArray[np.float32]  # (K,)
Indices = npt.NDArray[np.intp]  # (K,) places in another array
Flags = npt.NDArray[np.bool_]  # (K,)

# Matrices
Homography = npt.NDArray[np.float64]  # (3, 3)
FundamentalMatrix = npt.NDArray[np.float64]  # (3, 3)
CameraMatrix = npt.NDArray[np.float64]  # (3, 4), homogeneous space → pixels
Matrix = npt.NDArray[np.float64]  # any other, its shape beside it
