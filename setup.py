"""Names that differ between tree and wheel: `ui` is installed as realfill_studio, `assets` inside of realfill.

The rest stands in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["realfill", "realfill.*"]),
        "realfill.data",
        "realfill_studio",
        *(f"realfill_studio.{name}" for name in find_packages("ui")),
    ],
    package_dir={"realfill_studio": "ui", "realfill.data": "assets"},
)
