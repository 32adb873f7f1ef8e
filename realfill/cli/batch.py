"""The commands `batch`, `batch-status` and `batch-retry`."""

import dataclasses
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from realfill.batch.complete import CompleteScene
from realfill.batch.record import read_options, read_scenes
from realfill.batch.run import BatchTable, run_batch
from realfill.batch.scenes import check_places, find_scenes
from realfill.batch.table import SceneRow, exit_code, summarize
from realfill.cli.engines import (
    EngineOption,
    EngineOptions,
    RayAddressOption,
    RayUploadOption,
    RetriesOption,
    SlurmOption,
    TimeoutOption,
    WorkersOption,
    make_executor,
)
from realfill.cli.options import Options, add_options
from realfill.cli.progress import BatchProgress, print_json
from realfill.errors import OptionError
from realfill.evaluation.dataset import Case

RunsArgument = Annotated[Path, typer.Argument(help="The folder of the batch's runs.", metavar="RUNS")]
JsonOption = Annotated[bool, typer.Option("--json", help="End with one JSON object on stdout.")]


@add_options
def batch(  # noqa: PLR0913, a parameter is an option
    root: Annotated[Path, typer.Argument(help="A folder of scenes, each ref/* + target/{target,mask}.*")],
    *,
    runs: Annotated[Path, typer.Option(help="The folder for the runs; each has its scene's name.", metavar="RUNS")],
    engine: EngineOption = "local",
    workers: WorkersOption = 0,
    scenes: Annotated[str, typer.Option(help="Only these scenes, like 0-4,berry_bowl.")] = "",
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only the I-th of N parts of the scenes, like 2/20.")] = "",
    timeout: TimeoutOption = 60,
    retries: RetriesOption = 2,
    slurm: SlurmOption = "",
    ray_address: RayAddressOption = "",
    ray_upload: RayUploadOption = False,
    options: Options,
) -> None:
    """Complete many scenes, on this machine or a cluster. The same command again does what is missing.

    Ends with 0 when all are done, 3 when some can be gone on with, 1 when some failed or were refused, 2 when all were.
    """
    engine_options = EngineOptions(engine, workers, retries, slurm, ray_address, ray_upload)
    _run(find_scenes(root, scenes, shard), root, runs, engine_options, options, timeout=timeout, shard=shard)


def batch_status(runs: RunsArgument, as_json: JsonOption = False) -> None:
    """Say what the scenes of a batch have come to, and write batch.csv and batch.html anew."""
    table = BatchTable(runs)
    table.write()
    _tell(runs, table.rows, as_json=as_json)
    raise typer.Exit(exit_code(table.rows))


def batch_retry(runs: RunsArgument, as_json: JsonOption = False) -> None:
    """Ask once more, with the options of before, for all scenes of a batch that are not done."""
    asked = read_options(runs)
    try:
        options = _read_options(asked["options"], as_json=as_json)
        engine = EngineOptions(**asked["engine"])
        root, timeout = Path(asked["root"]), float(asked["timeout"])
    except (KeyError, TypeError, ValueError) as error:
        sentence = f"{runs}/batch.json does not say what was asked for ({error}); give the command itself again."
        raise OptionError(sentence) from error
    folders = {name: Path(str(known.get("folder"))) for name, known in read_scenes(runs).items()}
    cases = [Case(name, folder) for name, folder in folders.items()]
    if gone := next((case for case in cases if not case.folder.is_dir()), None):
        raise OptionError(f"There is no folder {gone.folder} any more; put the scene {gone.name} back there.")
    _run(cases, root, runs, engine, options, timeout=timeout, shard="")


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("batch")(batch)
    app.command("batch-status")(batch_status)
    app.command("batch-retry")(batch_retry)


def _run(
    cases: list[Case],
    root: Path,
    runs: Path,
    engine: EngineOptions,
    options: Options,
    *,
    timeout: float,
    shard: str,
) -> None:
    check_places(root, runs, cases)
    work = CompleteScene(runs.resolve(), options.config, options.device)
    options.config(runs / ".")  # what is wrong with an option is said once, before anything begins
    executor = make_executor(engine, runs.resolve() / ".jobs", device=options.device)
    asked = {
        "root": str(root.resolve()),
        "timeout": timeout,
        "engine": dataclasses.asdict(engine),
        "options": _plain(options),
    }
    signal.signal(signal.SIGTERM, _interrupt)
    progress = BatchProgress()
    try:
        rows = run_batch(
            work,
            cases,
            executor,
            options=asked,
            shard=shard,
            timeout=timeout * 60 or float("inf"),
            report=progress,
        )
    finally:
        progress.close()
    mine = {case.name for case in cases}
    _tell(runs, [row for row in rows if row.scene in mine], as_json=options.json)
    raise typer.Exit(exit_code([row for row in rows if row.scene in mine]))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _plain(options: Options) -> dict[str, Any]:
    return {
        name: str(value.expanduser().resolve()) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(options).items()
        if value is not None and name != "json"
    }


def _read_options(plain: Mapping[str, Any], *, as_json: bool) -> Options:
    weights = plain.get("matcher_weights")
    return Options(**{**plain, "matcher_weights": Path(weights) if weights else None, "json": as_json})


def _tell(runs: Path, rows: list[SceneRow], *, as_json: bool) -> None:
    for row in rows:
        if row.error:
            sys.stderr.write(f"{row.scene}: {row.state}. {row.error}\n")
    typer.echo(f"{summarize(rows)}  {runs / 'batch.html'}")
    if as_json:
        print_json({"runs": runs, "report": runs / "batch.html", "scenes": [vars(row) for row in rows]})
