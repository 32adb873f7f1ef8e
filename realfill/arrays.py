"""Arrays by what they hold, everywhere the same names.

Shapes: H W rows and columns of a photo at its own size, h w of a picture that was brought to a working size.
"""

import numpy as np
import numpy.typing as npt

Photo = npt.NDArray[np.uint8]  # (H, W, 3), sRGB, upright: what models see
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # (H, W) or (H, W, 3 or 4): a file's own code values
Hole = npt.NDArray[np.bool_]  # (H, W), True = missing (the paper's M = 1)
Alpha = npt.NDArray[np.float32]  # (H, W), 0 keeps, 1 replaces
