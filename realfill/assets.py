"""Where the files lie that come with the program: the base `mini`, the example scenes, the finished projects."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
CHECKOUT = _HERE.parent
IS_INSTALLED = (_HERE / "data").is_dir()  # a wheel has them inside of the package (setup.py)
FOLDER = _HERE / "data" if IS_INSTALLED else CHECKOUT / "assets"
