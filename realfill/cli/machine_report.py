"""`realfill check --report`: what this machine is and what training and filling cost on it, as one JSON object.

For people with a GPU at home to send: it names no person, no file and no machine.
"""

import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realfill import config as settings
from realfill.bases import BASES, EMBEDDED
from realfill.config import Config
from realfill.device import devices
from realfill.device.devices import choose_device, describe_device, used_memory
from realfill.runs import run
from realfill.scene import examples
from realfill.scene import scene as scenes

VERSION = 1
_WARM, _STEPS = 3, 8  # steps that are not timed: they encode, choose kernels and fill caches; steps in all
_SEEDS, _DENOISING = 8, 5


def measure_machine(device: str = "auto") -> dict[str, Any]:
    """Device, software, and for each base that is here plan, seconds and memory of a few steps and seeds.

    Raises:
        OptionError: there is no such device.
    """
    name = choose_device(device)
    bases = [base for base in dict.fromkeys((EMBEDDED, devices.default_base(name))) if _is_present(base)]
    return {
        "version": VERSION,
        "device": _describe(name),
        "software": {"python": platform.python_version(), "system": platform.system(), **run.versions()},
        "bases": {base: _measure_base(base, name) for base in bases},
    }


def _is_present(base: str) -> bool:
    from realfill.models.registry import is_present

    return is_present(base)


def _describe(name: str) -> dict[str, Any]:
    import torch

    device = describe_device(name)
    about: dict[str, Any] = {
        "kind": name.partition(":")[0],
        "title": device.title,
        "free_bytes": device.free,
        "total_bytes": device.total,
    }
    if name.startswith("cuda"):
        about |= {
            "capability": list(torch.cuda.get_device_capability(name)),
            "driver": _driver(),
            "built_for": torch.version.cuda or torch.version.hip,
        }
    return about


def _driver() -> str:
    """The NVIDIA driver's version; empty where nobody tells."""
    if (program := shutil.which("nvidia-smi")) is None:
        return ""
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.strip().partition("\n")[0]


def _measure_base(base: str, device: str) -> dict[str, Any]:
    """A base's plan and costs with its own preset, on an example scene."""
    from realfill.models.out_of_memory import plan_memory
    from realfill.models.registry import load_backbone

    config = settings.make(BASES[base].preset, {"base": base})
    scene = scenes.load(examples.examples()[0].folder)
    backbone = load_backbone(base, device=device)
    crop = scenes.crop_to_fill(
        scene, size=backbone.spec.size, multiple=backbone.spec.multiple, context=config.fit.context
    )
    budget = plan_memory(backbone, crop, config)
    train_seconds = _time_training(backbone, scene, crop, config, budget)
    seed_step_seconds = _time_sampling(backbone, scene, crop, config, budget)
    return {
        "preset": BASES[base].preset,
        "precision": str(backbone.dtype).removeprefix("torch."),
        "pixels": [crop.width, crop.height],
        "plan": asdict(budget.plan),
        "batch": config.train.batch,
        "step_seconds": round(train_seconds, 4),
        "seeds_a_second": round(1 / (seed_step_seconds * config.sample.steps), 4),
        "peak_bytes": used_memory(device),
    }


def _time_training(backbone: Any, scene: scenes.Scene, crop: Any, config: Config, budget: Any) -> float:
    """Seconds of a step, the median of those after the first ones, whose items a pool has encoded by then."""
    from realfill.training import train

    few = config.train.model_copy(update={"steps": _STEPS, "pool": min(config.train.pool, _WARM)})
    with tempfile.TemporaryDirectory() as folder:
        steps = train.train(backbone, scene, crop, few, seed=0, folder=Path(folder), budget=budget)
        return statistics.median(step.seconds for step in list(steps)[_WARM:])


def _time_sampling(backbone: Any, scene: scenes.Scene, crop: Any, config: Config, budget: Any) -> float:
    """Seconds of one denoising step of one seed, decoding counted in."""
    from realfill.sampling import sample

    few = config.sample.model_copy(update={"steps": _DENOISING})
    seeds, prompt = range(min(_SEEDS, budget.plan.seeds)), config.train.prompt
    began = time.perf_counter()
    made = list(sample.sample(backbone, scene, crop, few, prompt=prompt, seeds=seeds, budget=budget))
    return (time.perf_counter() - began) / (len(made) * _DENOISING)
