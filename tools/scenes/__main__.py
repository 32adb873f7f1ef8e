"""Renders the example scenes: `python -m tools.scenes --out assets/scenes [--only desk]`, with requirements-tools.txt.

Every rendered picture is kept in the cache folder and is not rendered again; a stopped run goes on where it was.
"""

import argparse
import importlib
from pathlib import Path
from typing import cast

from tools.scenes.recipe import Recipe
from tools.scenes.render import render
from tools.scenes.write import write

NAMES = ("desk", "shelf", "sill", "statue", "workshop", "courtyard", "market", "posters")  # as they are shown


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.scenes", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("assets/scenes"), help="where the scenes go")
    parser.add_argument("--only", nargs="*", choices=NAMES, help="these scenes alone")
    parser.add_argument("--cache", type=Path, default=Path(".work/scenes"), help="where rendered pictures are kept")
    parser.add_argument("--shots", nargs="*", help="these photos alone (gt ref0 …); then no scene is written")
    parser.add_argument(
        "--draft", type=int, metavar="WIDTH", help="small quick pictures for a look; no scene is written"
    )
    args = parser.parse_args()
    for name in args.only or NAMES:
        recipe = cast(Recipe, importlib.import_module(f"tools.scenes.{name}").SCENE)
        taken = render(recipe, args.cache / name, shots=args.shots, draft=args.draft)
        if args.draft is None and args.shots is None:
            write(recipe, taken, args.out / name, NAMES.index(name))


if __name__ == "__main__":
    main()
