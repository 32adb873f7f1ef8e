"""Speed at full size on one GPU: `python -m benchmarks.speed.gpu [--json] [--only train,sample,match]`.

Stable Diffusion 2 inpainting's architecture with random weights, 512 px, nothing downloaded, at most ten minutes.
First checks that losses, gradients, pictures and matches are the plain path's within stated tolerances, then times:

train    a step of batch 4 and 16 of `realfill.training.train`, against the loop of `benchmarks/speed/stock_loop.py` in
         fp32 and under bf16 autocast
sample   64 seeds x 25 and x 200 steps
stop     seconds from a stop in the middle of a group of seeds until the device is free
vae      encode and decode
match    LoFTR 64 x 5 pairs, against one pair at a time
cards    a step of batch 16 with the allocator capped to 8, 12, 16 and 24 GB
alpha    LoRA's alpha 8 against 16, where the weights of `--base` are here; on a GPU alone
tries    the step and the filling with what `REALFILL_TRY` names, each alone: CUDA graph, compiled blocks, cuDNN's own
         choice
ways     the U-Net's step in the variants of `benchmarks/speed/step_variants.py`, each alone and together

Rows are printed as they come; each section has a share of `--minutes`. The exit code is 1 where a check failed.
`--scale tiny` runs the whole script on a CPU in a minute, its times mean nothing.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import diffusers
import torch

from benchmarks.speed import random_sd2
from benchmarks.speed.alpha import alpha_section
from benchmarks.speed.matching import MatchWorkload, match_section
from benchmarks.speed.sampling import sample_section, stop_section, vae_section
from benchmarks.speed.sections import parse_sections, run_sections, sections_parser
from benchmarks.speed.step_variants import variants_section
from benchmarks.speed.timing import SpeedReport
from benchmarks.speed.training import OURS, POOLED, Workload, cards_section, headline, train_section
from benchmarks.speed.tries import tries_section
from realfill import config
from realfill.device.devices import choose_device, describe_device
from realfill.models import registry

SHARES = {  # of the time
    "train": 0.32,
    "sample": 0.16,
    "stop": 0.02,
    "match": 0.06,
    "vae": 0.03,
    "cards": 0.07,
    "tries": 0.12,
    "ways": 0.12,
    "alpha": 0.1,
}
ITEM_TFLOP = 27.5 / 16  # U-Net with adapters, forward and backward pass, counted by torch's FlopCounterMode
TFLOPS = 790.0  # what a large bf16 product reaches on an H200 (an H100 the same)


def make_workload(scale: str, device: str, folder: Path, tflops: float) -> Workload:
    """What is measured at a scale."""
    parts, full = random_sd2.SCALES[scale], scale == "full"
    scene, fit = random_sd2.scene(folder, parts.pixels)
    return Workload(
        device=device,
        dtype=registry.choose_dtype(device),
        pipeline=lambda dtype: random_sd2.pipeline(parts, device=device, dtype=dtype),
        scene=scene,
        fit=fit,
        preset=config.PRESETS["paper"],
        batches=(4, 16) if full else (2, 4),
        pool=256,
        fills=(("dpm++", 25), ("ddpm", 200)) if full else (("dpm++", 2), ("ddpm", 3)),
        seeds=64 if full else 4,
        stock_seeds=16 if full else 2,
        calls=24 if full else 2,
        warm_up=8 if full else 1,
        cell=2 ** (len(parts.vae["block_out_channels"]) - 1),
        text_width=parts.unet["cross_attention_dim"],
        tflop=ITEM_TFLOP if full else 0.0,
        tflops=tflops,
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the sections asked for; the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    sections = parse_sections(parser, args.only, SHARES)
    device = choose_device(args.device)
    if device == "cpu" and args.scale == "full":
        parser.error("full size needs a GPU (a step takes minutes on a CPU); --scale tiny tries the script")
    tiny = args.scale == "tiny"
    title = describe_device(device).title
    sys.stdout.write(f"{title}, torch {torch.__version__}, diffusers {diffusers.__version__}, {args.scale}\n")
    pairs = (
        MatchWorkload(device, 64, 2, 2, 2, small=True) if tiny else MatchWorkload(device, weights=args.matcher_weights)
    )
    report = SpeedReport()
    with tempfile.TemporaryDirectory() as folder:
        workload = make_workload(args.scale, device, Path(folder) / "scene", args.tflops)
        calls = {
            "train": partial(train_section, workload, report),
            "tries": partial(tries_section, workload, report),
            "ways": partial(variants_section, workload, report),
            "sample": partial(sample_section, workload, report),
            "stop": partial(stop_section, workload, report),
            "vae": partial(vae_section, workload, report),
            "match": partial(match_section, pairs, report),
            "cards": partial(cards_section, workload, report),
            "alpha": partial(_compare_alphas, report, args.base, device),
        }
        run_sections(report, calls, sections, shares=SHARES, minutes=args.minutes)
    _sum_runs(workload, report)
    ratios = headline(workload, report)
    facts = {"device": title, "torch": torch.__version__, "diffusers": diffusers.__version__, "scale": args.scale}
    ratio = ratios.get(str(max(workload.batches)))
    return report.finish(as_json=args.json, **facts, ratio_to_stock_loop=ratio, ratios=ratios)


def _compare_alphas(report: SpeedReport, base: str, device: str) -> None:
    if device == "cpu" or not registry.is_present(base):
        report.add(f"{base}, alpha", skipped="needs a GPU and the base's weights")
        return
    alpha_section(report, base=base, device=device, steps=200, seeds=4)


def _sum_runs(workload: Workload, report: SpeedReport) -> None:
    """Seconds of the presets from their parts, weights loaded; a sum of rows, not a measurement."""
    batch, (fast, slow) = (
        max(workload.batches),
        [f"ours, {workload.seeds} seeds x {steps} steps" for _, steps in workload.fills],
    )
    step = report.find(POOLED, batch=batch) or report.find(OURS, batch=batch)
    match = next((row for row in report.rows if row["section"] == "match" and "matches_a_pair" in row), None)
    report.section = "sums"
    runs: tuple[tuple[config.PresetName, str, float], ...] = (
        ("paper", slow, 1.0),
        ("paper", fast, 1.0),
        ("quick", fast, 0.5),  # half as many seeds; its steps with the pool
    )
    for preset, fill, share in runs:
        row, steps = report.find(fill), config.PRESETS[preset].train.steps
        if step and match and row and "ms" in row:
            seconds = (steps * step["ms_with_encoding"] + share * (row["ms"] + match["ms"])) / 1000
            report.add(f"sum: {preset}, {steps} steps, {fill.removeprefix('ours, ')}", seconds=seconds, share=share)


def _parser() -> argparse.ArgumentParser:
    parser = sections_parser(__doc__ or "", SHARES, minutes=9.0)
    parser.add_argument("--scale", default="full", choices=list(random_sd2.SCALES))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--base", default="sd2", help="real weights that alpha is compared on")
    parser.add_argument("--matcher-weights", default="", help="loftr_outdoor.ckpt; without, the network is random")
    parser.add_argument("--tflops", type=float, default=TFLOPS, help="what the device does in practice, for the share")
    return parser


if __name__ == "__main__":
    sys.exit(main())
