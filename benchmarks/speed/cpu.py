"""Speed of `mini` on a CPU: `python -m benchmarks.cpu [--json] [--only train,sample,vae,match] [--threads 2]`.

First checks that losses, gradients, pictures and matches are the plain path's, then times a step of
`realfill.training.train` with the preset `mini` (a pool that is encoded once) against the loop of
`benchmarks/stock_loop.py` at the same work (two encodings an item, the prompt for every item), then filling, coding and
matching by LoFTR. The machine must be quiet. `--steps 2 --seeds 2 --pairs 2` tries the script; such times mean nothing.
"""

import argparse
import copy
import sys
import tempfile
from functools import partial
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import StableDiffusionInpaintPipeline

from benchmarks.speed import random_sd2
from benchmarks.speed.matching import Pairs, match_section
from benchmarks.speed.sampling import sample_section, vae_section
from benchmarks.speed.timing import Report
from benchmarks.speed.training import Case, headline, train_section
from realfill import config
from realfill.models import registry
from realfill.models.registry import find_base

SECTIONS = ("train", "sample", "vae", "match")


def load(folder: Path) -> StableDiffusionInpaintPipeline:
    """A stock pipeline in fp32 from a diffusers folder, ready to be used."""
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(
        folder, dtype=torch.float32, safety_checker=None, feature_extractor=None, local_files_only=True
    )
    for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    return pipeline


def case(args: argparse.Namespace, base: Path, folder: Path) -> Case:
    """What is measured."""
    first = load(base)
    cell = 2 ** (len(first.vae.config.block_out_channels) - 1)
    scene, fit = random_sd2.scene(folder, int(first.unet.config.sample_size) * cell)
    preset = config.PRESETS["mini"]
    return Case(
        device="cpu",
        dtype=registry.choose_dtype("cpu"),
        pipeline=lambda dtype: copy.deepcopy(first).to(dtype) if dtype != torch.float32 else copy.deepcopy(first),
        scene=scene,
        fit=fit,
        preset=preset,
        batches=(preset.train.batch,),
        pool=preset.train.pool or 256,
        fills=((preset.sample.sampler, args.fill_steps),),
        seeds=args.seeds,
        stock_seeds=args.seeds,
        calls=args.steps,
        warm=min(6, args.steps),
        cell=cell,
        words=int(first.unet.config.cross_attention_dim),
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the sections asked for; the exit code."""
    args = _parser().parse_args(argv)
    only = args.only.split(",") if args.only else list(SECTIONS)
    if unknown := set(only) - set(SECTIONS):
        _parser().error(f"there is no section {', '.join(sorted(unknown))}; the sections are {', '.join(SECTIONS)}")
    if args.threads:
        torch.set_num_threads(args.threads)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    base = find_base(args.base)
    if base is None:
        _parser().error(f"the base {args.base} is not on this machine")
    pairs = Pairs("cpu", args.match_size, args.pairs, 1, args.pairs, small=args.match_size < 256)
    report = Report()
    facts = {"device": _processor(), "threads": torch.get_num_threads(), "base": args.base}
    facts |= {"torch": torch.__version__, "diffusers": diffusers.__version__}
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        whole = case(args, base, Path(folder) / "scene")
        work = {
            "train": partial(train_section, whole, report),
            "sample": partial(sample_section, whole, report),
            "vae": partial(vae_section, whole, report),
            "match": partial(match_section, pairs, report),
        }
        for name in only:
            report.run(name, work[name], budget=args.minutes * 60 / len(only))
    ratios = headline(whole, report)
    ratio = ratios.get(str(max(whole.batches)))
    return report.finish(as_json=args.json, **facts, ratio_to_stock_loop=ratio, ratios=ratios)


def _processor() -> str:
    """The processor's name, where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "CPU")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"sections, comma between: {','.join(SECTIONS)}")
    parser.add_argument("--base", default="mini", help="mini, or a diffusers folder")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's own choice")
    parser.add_argument("--steps", type=int, default=24, help="training steps that are timed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--fill-steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=4, help="pairs of pictures that are matched")
    parser.add_argument("--match-size", type=int, default=512)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
