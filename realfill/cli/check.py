"""`realfill check`: what will work on this machine, and what to do about the rest."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from realfill import assets
from realfill import config as settings
from realfill.bases import BASES, EMBEDDED, PREFERRED, describe_time, download_command
from realfill.config import Config, MatcherName, SelectConfig
from realfill.device import devices
from realfill.device.devices import choose_device, describe_device, free_memory, list_devices
from realfill.device.memory_plan import describe_cards, describe_plan, plan_before_loading
from realfill.errors import RealFillError
from realfill.humanize import size
from realfill.runs import run
from realfill.scene import examples

PATIENT = "Without a GPU --preset patient takes about two hours of one core; a night may be split, it goes on."
LEAST_FREE = 2e9  # bytes on the disk of the runs: a run with 64 seeds at 512 pixels takes about 0.1 GB


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is as it should be, and a sentence."""

    name: str
    good: bool
    sentence: str


def check_machine(runs_dir: Path) -> Iterator[Finding]:
    """Looks at everything, one thing after another; a broken installation is a finding, not an error."""
    yield _check_python()
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("torch", _check_build),
        ("device", _check_device),
        ("base", _check_bases),
        ("memory", _check_memory),
        ("matcher", _check_matchers),
    ]
    for name, check in checks:
        try:
            yield from check()
        except (ImportError, OSError, RealFillError) as error:
            yield Finding(name, False, f"{error}; install again with: {_install_command()}")
    yield _check_disk(runs_dir)
    names = [example.name for example in examples.examples()]
    yield Finding(
        "examples", bool(names), f"Try: realfill complete --example {names[0]}" if names else "None installed."
    )


def mini_works(findings: list[Finding]) -> bool:
    """Whether a picture can be completed here, if only with the embedded base."""
    good = {finding.name: finding.good for finding in findings}
    return all(good.get(name, False) for name in ("device", f"base {EMBEDDED}"))


def _check_python() -> Finding:
    packages = ", ".join(f"{name} {version}" for name, version in run.versions().items())
    missing = [name for name in run.PACKAGES if name not in run.versions()]
    sentence = f"{platform.python_version()} on {platform.system()} {platform.machine()}; {packages}."
    if missing:
        sentence += f" Missing: {', '.join(missing)}; {_install_command()}"
    return Finding("python", not missing, sentence)


def _install_command() -> str:
    """What installs the packages again, in a checkout and where a wheel was installed."""
    what = "--force-reinstall realfill-studio" if assets.IS_INSTALLED else f"-r {assets.CHECKOUT / 'requirements.txt'}"
    return f"{sys.executable} -m pip install {what}"


def _check_build() -> Iterator[Finding]:
    import torch

    built = torch.version.cuda or torch.version.hip
    driver = _driver_cuda()
    if built is None and driver is not None:
        index = "cu130" if driver >= 13 else "cu126"
        command = (
            f"{sys.executable} -m pip install --force-reinstall --no-deps torch=={torch.__version__.partition('+')[0]} "
            f"--index-url https://download.pytorch.org/whl/{index}"
        )
        yield Finding(
            "torch", False, f"An NVIDIA GPU is here but torch is a build for the CPU; mend it with: {command}"
        )
    else:
        yield Finding("torch", True, f"{torch.__version__}, built for {f'CUDA {built}' if built else 'the CPU'}.")


def _driver_cuda() -> int | None:
    """The CUDA generation that the NVIDIA driver supports, or None where there is no working driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        answer = subprocess.run([program], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"CUDA Version:\s*(\d+)", answer.stdout)
    if answer.returncode != 0:
        return None
    return int(version[1]) if version else 12


def _check_device() -> Iterator[Finding]:
    from realfill.models import registry

    device = describe_device(choose_device())
    base = devices.default_base(device.name)
    memory = f"{size(device.free)} of {size(device.total)} free"
    precision = str(registry.choose_dtype(device.name)).removeprefix("torch.")
    sentence = f"{device.name} ({device.title}), {memory}; computes in {precision}; the default base is {base}."
    yield Finding("device", True, sentence)


def _check_bases() -> Iterator[Finding]:
    from realfill.models.registry import is_present

    for name, base in BASES.items():
        time = f"Time of a scene: {describe_time(name, settings.default_items(name))}."
        if is_present(name):
            yield Finding(f"base {name}", True, f"Ready ({base.size} px). {time}")
        else:
            how = f"Comes by itself when first used, {base.gigabytes:g} GB from huggingface.co/{base.source}"
            if base.gated:
                how = f"Accept its licence at {base.page} and sign in (hf auth login); then it comes by itself"
            by_hand = f"by hand: {download_command(base.source)}, then --base FOLDER"
            missing = "Missing; install the project again." if base.is_embedded else f"{how}; {by_hand}. {time}"
            yield Finding(f"base {name}", False, missing)


def _check_memory() -> Iterator[Finding]:
    """What each base would do on each device here with the memory that is free now, and on GPUs of the usual sizes."""
    for base, row in BASES.items():
        config = settings.make(row.preset, {"base": base})
        for name in list_devices():
            yield _check_memory_of(base, config, name)


def _check_memory_of(base: str, config: Config, name: str) -> Finding:
    from realfill.models import backbone, registry

    dtype = registry.choose_dtype(name)
    width, gpu = backbone.stored_dtype(name, dtype).itemsize, name.startswith("cuda")
    plan = plan_before_loading(config, free_memory(name), width=width, computed=dtype.itemsize, gpu=gpu)
    what = describe_plan(plan, config.train.batch)
    here = f"{name} has {what}"
    if plan is not None:
        precision = str(dtype).removeprefix("torch.")
        here = f"{name} computes in {precision} and takes {what}, {plan.seeds} seeds at once"
    patient = f"{PATIENT} " if base == PREFERRED and name == "cpu" and plan is not None else ""
    sentence = f"By estimate {here}. {patient}{describe_cards(config)}"
    return Finding(f"memory {base}" if name == choose_device() else f"memory {base} {name}", plan is not None, sentence)


def _check_matchers() -> Iterator[Finding]:
    from realfill.matching.registry import available_matcher

    for name in get_args(MatcherName):
        available, sentence = available_matcher(SelectConfig(matcher=name))
        yield Finding(f"matcher {name}", available == name, sentence or "Ready.")


def _check_disk(runs_dir: Path) -> Finding:
    place = next(folder for folder in [runs_dir.resolve(), *runs_dir.resolve().parents] if folder.exists())
    free = shutil.disk_usage(place).free
    return Finding("disk", free >= LEAST_FREE, f"{size(free)} free for runs in {runs_dir}.")
