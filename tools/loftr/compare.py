"""Which matcher ranks seeds best: `python -m tools.loftr.compare STORE --scenes assets/scenes --out counts.json`.

STORE is a folder of `realfill bench` with several seeds a scene, scored. Every picture's matches in the hole are
counted by each matcher, and ranked against PSNR and SSIM; and the true target is matched with its own references and
with photos that show other things. Resumable: what is in `--out` is not counted again.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kornia.feature import LoFTR
from safetensors.torch import load_file

from realfill import config
from realfill.arrays import Photo
from realfill.evaluation import tables
from realfill.evaluation.metrics.base import MATCHES
from realfill.evaluation.store import Store
from realfill.evaluation.tables import varied_methods
from realfill.imaging import photo
from realfill.imaging.crop import crop_around
from realfill.matching.loftr import Loftr
from realfill.matching.matcher import Matcher
from realfill.matching.registry import load_matcher
from realfill.matching.selection import score_candidates
from realfill.scene import scene, scene_files
from realfill.scene.scene import Scene
from tools.loftr import architecture

OURS = "small"
Counts = dict[str, dict[str, Any]]  # scene → {"seeds": {method: {seed: n}}, "own": [n], "other": [n]}


def load_small(folder: Path, *, size: int, threshold: float = 0.2) -> Matcher:
    """The small LoFTR of a training's folder, as the project's matchers are used."""
    network = LoFTR(pretrained=None, config=architecture.config(threshold=threshold))
    network.load_state_dict(load_file(folder / "average.safetensors"))
    return Loftr(network, size=size, scale=1.0, device="cpu")


def count(matcher: Matcher, one: Scene, references: Sequence[Photo], pictures: Sequence[Photo]) -> list[list[int]]:
    """Matches in the hole of each completed target with each reference, as `realfill bench` counts them."""
    settings = config.Config()
    fit = crop_around(one.hole, size=settings.select.size, multiple=8, context=settings.fit.context)
    candidates = ((index, fit.crop_photo(picture)) for index, picture in enumerate(pictures))
    scores = score_candidates(matcher, references, candidates, fit.crop_hole(one.hole))
    return [list(score.per_reference) for score in scores]


def count_scene(matcher: Matcher, store: Store, folder: Path, others: Sequence[Photo], known: dict[str, Any]) -> None:
    """Adds to `known` what it lacks of one scene's counts by one matcher; `own` and `other` are by reference."""
    loaded, seeds = scene.load(folder), known.setdefault("seeds", {})
    assert loaded.truth is not None
    for method in store.methods():
        available = store.seeds(method, folder.name)
        if len(available) > 1 and len(seeds.get(method, ())) < len(available):
            pictures = [photo.read_photo(store.picture_path(method, folder.name, seed)) for seed in available]
            totals = [sum(matches) for matches in count(matcher, loaded, loaded.references, pictures)]
            seeds[method] = {str(seed): total for seed, total in zip(available, totals, strict=True)}
    for name, photos in (("own", loaded.references), ("other", others)):
        if name not in known:
            known[name] = count(matcher, loaded, photos, [loaded.truth])[0]


def table(store: Store, counts: dict[str, Counts]) -> str:
    """Mean rank correlations by method and matcher, and what unrelated photos give, as Markdown."""
    data = tables.score_frame(store)
    for name, scenes in counts.items():
        matches = [
            scenes.get(row.scene, {}).get("seeds", {}).get(row.method, {}).get(str(row.seed))
            for row in data.itertuples()
        ]
        data[MATCHES + name] = pd.Series(matches, index=data.index, dtype=float)
    lines = ["| seeds | matcher | scenes | ρ PSNR | ρ SSIM |", "|---|---|---|---|---|"]
    for title, part in {"all": data, "from noise": tables.noise_rows(data)}.items():
        for method, name in itertools.product(varied_methods(part), counts):
            ranks = tables.rank_correlation(part, method, name)
            values = " | ".join("–" if v is None else f"{v:.2f}" for v in (ranks.mean["psnr"], ranks.mean["ssim"]))
            lines.append(f"| {method}, {title} | {name} | {len(ranks.scenes)} | {values} |")
    lines += ["", "| matcher | own references, median | other photos, mean | most | mean as share |", f"|{'---|' * 5}"]
    for name, scenes in counts.items():
        own = float(np.median([value for one in scenes.values() for value in one["own"]]))
        other = [value for one in scenes.values() for value in one["other"]]
        lines.append(f"| {name} | {own:g} | {np.mean(other):.2f} | {max(other)} | {np.mean(other) / max(own, 1):.1%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    args = _arguments()
    store, select = Store(args.store), config.Config().select
    known: dict[str, Counts] = json.loads(args.out.read_text()) if args.out.exists() else {}
    others = [photo.read_photo(path) for path in scene_files.pictures(args.photos)[: args.others]]
    for name in args.matchers.split(","):
        kind, _, file = name.partition("=")
        if kind == OURS:
            matcher = load_small(Path(file), size=select.size)
        else:
            matcher = load_matcher(select.model_copy(update={"matcher": kind, "weights": file}))
        done = known.setdefault(kind, {})
        for folder in sorted(args.scenes.iterdir()):
            count_scene(matcher, store, folder, others, done.setdefault(folder.name, {}))
            args.out.write_text(json.dumps(known))
            sys.stderr.write(f"{kind} {folder.name}\n")
    sys.stdout.write(table(store, known))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True, help="photos that show other things")
    parser.add_argument("--others", type=int, default=6, help="how many of them")
    parser.add_argument("--matchers", default="sift", help="sift,aliked=FILE,loftr=FILE,small=DIR")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
