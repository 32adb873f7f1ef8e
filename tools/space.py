"""The folder that one pushes as a Hugging Face Space: `python -m tools.space OUT`.

    hf upload ME/realfill OUT . --repo-type space

It holds what the studio runs on, of the files that git knows: no tests, benchmarks or tools. The front matter that
describes the Space is the README's own; its requirements are requirements-space.txt. It runs on hardware of its own (a
paid plan) and as a ZeroGPU Space (docs/hosting.md).
"""

import shutil
import subprocess
import sys
from pathlib import Path

from realfill import files
from realfill.errors import InputError, OptionError
from realfill.humanize import size

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("app.py", "README.md", "LICENSE", "SECURITY.md", "requirements-space.txt", "realfill", "ui", "assets", "docs")
OTHER_NAMES = {"requirements-space.txt": "requirements.txt"}
MOST_BYTES = 10**9  # of a Space's repository without a plan


def build_space(out: Path) -> list[Path]:
    """Writes the folder, as a whole or not at all; returns the files in it, relative.

    Raises:
        OptionError: something stands there already, or it would be too large for a Space.
    """
    if out.exists():
        raise OptionError(f"{out} is there already; give a new folder.")
    listed = subprocess.run(["git", "ls-files", "-z", *PARTS], cwd=ROOT, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    total = sum((ROOT / name).stat().st_size for name in names)
    if total > MOST_BYTES:
        raise OptionError(f"The Space would have {size(total)}, more than the {size(MOST_BYTES)} that one may have.")
    with files.new_folder(out) as folder:
        for name in names:
            copy = folder / OTHER_NAMES.get(name, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
    return [Path(OTHER_NAMES.get(name, name)) for name in names]


def main() -> int:
    """Builds the folder that is named."""
    if len(sys.argv) != 2:
        sys.stderr.write("Give the folder to write: python -m tools.space OUT\n")
        return 2
    try:
        names = build_space(Path(sys.argv[1]))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(f"{len(names)} files in {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
