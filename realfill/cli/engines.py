"""The options that say who does many scenes, and the executor that they mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from realfill.errors import OptionError

if TYPE_CHECKING:
    from realfill.distributed.executors import Executor

Engine = Literal["local", "submitit", "ray"]
EngineOption = Annotated[
    Engine, typer.Option(help="local: processes here; submitit: jobs of SLURM; ray: actors of a Ray cluster.")
]
WorkersOption = Annotated[
    int,
    typer.Option(min=0, max=4096, help="Scenes at once. [default: one a GPU, or as many as the engine gives]"),
]
TimeoutOption = Annotated[float, typer.Option(min=0, help="Minutes for one try of a scene; 0: no limit.")]
RetriesOption = Annotated[int, typer.Option(min=0, max=20, help="Further tries of a scene that failed or was lost.")]
SlurmOption = Annotated[
    str,
    typer.Option(metavar="NAME=VALUE,…", help="What sbatch gets, like partition=gpu,qos=low,gpus_per_node=1."),
]
RayAddressOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="auto or HOST:PORT of a Ray cluster; without it Ray starts here.")
]
RayUploadOption = Annotated[
    bool, typer.Option("--ray-upload", help="Send this RealFill's code to the nodes; else theirs is used.")
]


@dataclass(frozen=True)
class EngineOptions:
    """Who works, and how many; JSON data."""

    engine: Engine = "local"
    workers: int = 0
    retries: int = 2
    slurm: str = ""
    ray_address: str = ""
    ray_upload: bool = False


def make_executor(options: EngineOptions, folder: Path, *, device: str = "auto", serial: bool = False) -> "Executor":
    """The executor of an engine; jobs' files go to `folder`. `serial`: one local worker is this very process.

    Raises:
        OptionError: the engine is not installed, or its options are none.
    """
    from realfill.device.devices import find_gpus
    from realfill.distributed import executors

    workers, retries = options.workers, options.retries
    if options.engine == "submitit":
        from realfill.distributed.submitit_executor import Submitit, check_submitit

        check_submitit()
        return Submitit(folder, workers=workers, parameters=parse_slurm(options.slurm), retries=retries)
    if options.engine == "ray":
        from realfill.distributed.ray_executor import Ray, check_ray

        check_ray()
        upload = Path(__file__).resolve().parents[1] if options.ray_upload else None
        return Ray(address=options.ray_address, workers=workers, retries=retries, upload=upload)
    if serial and workers <= 1:
        return executors.Serial()
    gpus = find_gpus() if device in ("auto", "cuda") else []
    return executors.Processes(executors.local_places(workers or max(1, len(gpus)), gpus), retries=retries)


def parse_slurm(text: str) -> dict[str, str]:
    """`"partition=gpu,qos=low"` → {"partition": "gpu", "qos": "low"}.

    Raises:
        OptionError: a part has no value.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if wrong := next((name for name, equals, value in pairs if not (name.strip() and equals and value.strip())), None):
        raise OptionError(f"--slurm {wrong} has no value; write it like --slurm partition=gpu,qos=low.")
    return {name.strip().replace("-", "_"): value.strip() for name, _, value in pairs}
