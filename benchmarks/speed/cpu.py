"""Speed of `mini` on a CPU: `python -m benchmarks.speed.cpu [--json] [--only train,sample,vae,match] [--threads 2]`.

First checks that losses, gradients, pictures and matches are the plain path's, then times a step of
`realfill.training.train` with the preset `mini` (a pool that is encoded once) against the loop of
`benchmarks/speed/stock_loop.py` at the same work (two encodings an item, the prompt for every item), then filling,
coding and matching by LoFTR. The machine must be quiet; on two cores it takes about twenty minutes.
`--steps 2 --seeds 2 --pairs 2` tries the script; such times mean nothing.
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
from benchmarks.speed.matching import MatchWorkload, match_section
from benchmarks.speed.sampling import sample_section, vae_section
from benchmarks.speed.sections import parse_sections, run_sections, sections_parser
from benchmarks.speed.timing import SpeedReport
from benchmarks.speed.training import Workload, headline, train_section
from realfill import config
from realfill.bases import EMBEDDED
from realfill.models import registry
from realfill.models.registry import find_base

SHARES = {"train": 1.0, "sample": 1.0, "vae": 1.0, "match": 1.0}  # of the time


def load_pipeline(folder: Path) -> StableDiffusionInpaintPipeline:
    """A stock pipeline in fp32 from a diffusers folder, ready to be used."""
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(
        folder, dtype=torch.float32, safety_checker=None, feature_extractor=None, local_files_only=True
    )
    for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    return pipeline


def make_workload(args: argparse.Namespace, base: Path, folder: Path) -> Workload:
    """What is measured."""
    first = load_pipeline(base)
    cell = 2 ** (len(first.vae.config.block_out_channels) - 1)
    scene, fit = random_sd2.scene(folder, int(first.unet.config.sample_size) * cell)
    preset = config.PRESETS["mini"]
    return Workload(
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
        warm_up=min(6, args.steps),
        cell=cell,
        text_width=int(first.unet.config.cross_attention_dim),
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the sections asked for; the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    sections = parse_sections(parser, args.only, SHARES)
    if args.threads:
        torch.set_num_threads(args.threads)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    base = find_base(args.base)
    if base is None:
        parser.error(f"the base {args.base} is not on this machine")
    pairs = MatchWorkload("cpu", args.match_size, args.pairs, 1, args.pairs, small=args.match_size < 256)
    report = SpeedReport()
    facts = {"device": _processor_name(), "threads": torch.get_num_threads(), "base": args.base}
    facts |= {"torch": torch.__version__, "diffusers": diffusers.__version__}
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        workload = make_workload(args, base, Path(folder) / "scene")
        calls = {
            "train": partial(train_section, workload, report),
            "sample": partial(sample_section, workload, report),
            "vae": partial(vae_section, workload, report),
            "match": partial(match_section, pairs, report),
        }
        run_sections(report, calls, sections, shares=SHARES, minutes=args.minutes)
    ratios = headline(workload, report)
    ratio = ratios.get(str(max(workload.batches)))
    return report.finish(as_json=args.json, **facts, ratio_to_stock_loop=ratio, ratios=ratios)


def _processor_name() -> str:
    """The processor's name, where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "CPU")


def _parser() -> argparse.ArgumentParser:
    parser = sections_parser(__doc__ or "", SHARES, minutes=20.0)
    parser.add_argument("--base", default=EMBEDDED, help=f"{EMBEDDED}, or a diffusers folder")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's own choice")
    parser.add_argument("--steps", type=int, default=24, help="training steps that are timed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--fill-steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=4, help="pairs of pictures that are matched")
    parser.add_argument("--match-size", type=int, default=512)
    return parser


if __name__ == "__main__":
    sys.exit(main())
