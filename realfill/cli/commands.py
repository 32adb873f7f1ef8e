"""The command line. torch is imported by the commands that need it, so that --help and refusals are quick."""

import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer

from realfill import config as settings
from realfill import files
from realfill.bases import BASES, base_record, describe_base
from realfill.cli import batch, bench
from realfill.cli.options import Options, add_options, run_folder, scene_folder
from realfill.cli.progress import Progress, print_json
from realfill.errors import EXIT_DONE, EXIT_INPUT, OptionError
from realfill.events import Stage
from realfill.humanize import alternatives, duration
from realfill.imaging.encode import FORMATS, find_format
from realfill.jobs import queue
from realfill.jobs.queue import claim
from realfill.jobs.worker import Worker
from realfill.runs.run import Run

app = typer.Typer(
    help="Fill the missing part of a photo with what was really there, from one to five other photos of the place.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SceneArgument = Annotated[Path | None, typer.Argument(help="A folder ref/* + target/{target,mask}.*", metavar="SCENE")]
RunArgument = Annotated[Path, typer.Argument(help="The run's folder.", metavar="DIR")]
RunOption = Annotated[Path | None, typer.Option("--run", help="The run's folder. [default: runs/SCENE]", metavar="DIR")]
ExampleOption = Annotated[str | None, typer.Option(help="One of the example scenes, by name.", metavar="NAME")]
OUT_HELP = f"A {alternatives([known.suffixes[0] for known in FORMATS.values()])} file."
JsonOption = Annotated[bool, typer.Option("--json", help="End with one JSON object on stdout.")]


@app.command()
@add_options
def complete(
    scene: SceneArgument = None,
    *,
    run: RunOption = None,
    example: ExampleOption = None,
    queued: Annotated[bool, typer.Option("--queued", hidden=True)] = False,
    options: Options,
) -> None:
    """Do everything: train, sample, select, export. The same command again goes on where it ended."""
    source = scene_folder(scene, example)
    folder = run_folder(run, source)
    if not queued:
        _run_stages(folder, source, options, "export")
        return
    queued_run = Run.open(folder)
    with claim(queued_run) as mine:  # a run may have been taken out of the queue meanwhile
        if mine:
            _run_stages(queued_run, None, options, "export")


@app.command()
@add_options
def train(
    scene: SceneArgument = None, *, run: RunOption = None, example: ExampleOption = None, options: Options
) -> None:
    """Fine-tune on the scene's photos, and no more. Also under `accelerate launch -m realfill train …`."""
    source = scene_folder(scene, example)
    _run_stages(run_folder(run, source), source, options, "train")


@app.command()
@add_options
def sample(
    run: RunArgument,
    *,
    scene: Annotated[
        Path | None,
        typer.Option(help="Another target of the same place, as a scene folder: a new run with this adapter."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The new run's folder. [default: runs/SCENE]", metavar="DIR")] = None,
    options: Options,
) -> None:
    """Make the pictures of all seeds that have none yet; with --scene of another target, without training again."""
    if scene is not None:
        trained = Run.open(run)
        run = run_folder(to, scene)
        if run.resolve() == trained.folder.resolve():
            raise OptionError(f"{run} is the run that was trained; give another folder with --to.")
        Run.ensure(run, None if (run / "run.json").exists() else trained.config, scene).take_adapter(trained)
    elif to is not None:
        raise OptionError("--to is for --scene, another target; leave it out.")
    _run_stages(run, None, options, "sample")


@app.command()
@add_options
def select(run: RunArgument, *, options: Options) -> None:
    """Rank the pictures by their matches with the references."""
    _run_stages(run, None, options, "select")


@app.command()
@add_options
def export(
    run: RunArgument,
    *,
    seed: Annotated[int | None, typer.Option(help="The seed to export. [default: most matches]")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help=OUT_HELP)] = None,
    options: Options,
) -> None:
    """Blend the best picture, or a chosen one, into the target at its own size."""
    from realfill.runs.export import check_export_path, choose_seed

    if out is not None:
        find_format(out)
    opened = Run.open(run)
    if out is not None:
        check_export_path(opened, out)
    if seed is not None:
        choose_seed(opened, seed)
    _run_stages(opened.folder, None, options, "export", out=out)


@app.command()
def draft(
    scene: SceneArgument = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help=OUT_HELP)],
    example: ExampleOption = None,
    matcher: Annotated[
        str, typer.Option(help="loftr or aliked look beside SIFT and XFeat, find more points and take longer.")
    ] = "sift",
    matcher_weights: Annotated[Path | None, typer.Option(help="A file with the matcher's weights.")] = None,
    confidence: Annotated[
        Path | None, typer.Option(help="A .png for the confidence map: white = the references vouch for it.")
    ] = None,
    proposals: Annotated[
        int,
        typer.Option(
            min=0,
            max=settings.MOST_PROPOSALS,
            help="How many complete proposals are made; 0: what geometry shows alone.",
        ),
    ] = settings.PROPOSALS,
    as_json: JsonOption = False,
) -> None:
    """Fill the hole from the references by geometry and patches of the scene, in seconds and without a model."""
    from realfill.geometry.write_draft import write_draft

    source = scene_folder(scene, example)
    if source is None:
        raise OptionError("Give a scene folder or --example NAME.")
    weights = "" if matcher_weights is None else str(matcher_weights.expanduser().resolve())
    select = settings.make("paper", {"select.matcher": matcher, "select.weights": weights}).select
    facts = write_draft(source, out, select, confidence=confidence, proposals=proposals)
    for notice in facts["notices"]:
        typer.echo(notice, err=True)
    if as_json:
        print_json({"result": str(out), **facts})
    else:
        sentence = facts["reason"] or f"the references vouch for {facts['vouched']:.0%} of the hole"
        typer.echo(f"{out}  {sentence}  {duration(facts['seconds'])}")


@app.command()
def bases(as_json: JsonOption = False) -> None:
    """List the pretrained models by name, and which of them are on this machine."""
    from realfill.models.registry import is_present

    rows = [{**base_record(name, settings.default_items(name)), "present": is_present(name)} for name in BASES]
    if as_json:
        print_json({"bases": rows})
        return
    for row in rows:
        name, place = row["name"], "on this machine" if row["present"] else "not here yet"
        typer.echo(f"{name}: {describe_base(name)}\n    time of a scene: {row['time']}\n    {row['source']}, {place}")


@app.command("settings")
def list_settings(as_json: JsonOption = False) -> None:
    """List what --set can change, with the defaults of the paper."""
    fields = settings.flat_fields().items()
    rows = {name: {"default": field.default, "help": field.description} for name, field in fields}
    if as_json:
        print_json({"settings": rows})
        return
    for name, row in rows.items():
        default = "0-63" if name == "sample.seeds" else row["default"]
        typer.echo(f"{name} = {default}\n    {row['help']}")


@app.command()
def check(
    as_json: JsonOption = False,
    runs_dir: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    report: Annotated[
        Path | None,
        typer.Option(help="Time a few steps and seeds and write them to this JSON file.", metavar="FILE"),
    ] = None,
) -> None:
    """Say what will work on this machine, and what to do about the rest."""
    from realfill.cli import check as checks

    if report is not None:
        from realfill.cli.machine_report import measure_machine

        files.write_json(report, measure_machine())
        typer.echo(f"Wrote {report}: the device, its plan and its times; it names no person, no file and no machine.")
        raise typer.Exit(EXIT_DONE)
    findings = []
    for finding in checks.check_machine(runs_dir):
        findings.append(finding)
        if not as_json:
            typer.echo(f"{'ok  ' if finding.good else 'note'}  {finding.name}: {finding.sentence}")
    works = checks.mini_works(findings)
    if as_json:
        print_json({"works": works, "findings": [vars(finding) for finding in findings]})
    raise typer.Exit(EXIT_DONE if works else EXIT_INPUT)


@app.command()
def worker(
    runs_dir: Annotated[Path, typer.Argument(help="The folder of runs to serve.", metavar="RUNS_DIR")],
    idle: Annotated[float, typer.Option(min=0, help="End after so many seconds without work; 0: never.")] = 0.0,
) -> None:
    """Take queued runs, one after another; the page starts it."""
    if not runs_dir.is_dir():
        raise OptionError(f"There is no folder {runs_dir}.")
    server = Worker(runs_dir, idle=idle)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    server.work(lambda sentence: typer.echo(sentence, err=True))


@app.command("queue")
def show_queue(
    runs_dir: Annotated[Path, typer.Argument(help="The folder of runs.", metavar="RUNS_DIR")],
    paused: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Begin no further run, or go on; the one in work stays.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List waiting runs in the order in which they begin; pause the queue, or let it go on."""
    if not runs_dir.is_dir():
        raise OptionError(f"There is no folder {runs_dir}.")
    if paused is not None:
        (queue.pause if paused else queue.unpause)(runs_dir)
    waiting, held = queue.waiting_runs(runs_dir), queue.is_paused(runs_dir)
    if as_json:
        print_json({"paused": held, "waiting": [str(run.folder) for run in waiting]})
        return
    for place, run in enumerate(waiting, start=1):
        typer.echo(f"{place}  {run.labels.name}  {run.folder}")
    typer.echo("The queue is paused." if held else f"{len(waiting)} waiting.")


bench.register(app)
batch.register(app)


def _run_stages(
    run: Run | Path, source: Path | None, options: Options, until: Stage, *, out: Path | None = None
) -> None:
    """Runs the pipeline up to a stage and says what came of it."""
    if isinstance(run, Path) and source is None and not (run / "run.json").exists() and not (run / "scene").is_dir():
        Run.open(run)  # refuses in a sentence, before torch is imported
    config = options.config(run if isinstance(run, Path) else run.folder)
    from realfill.pipeline import stages
    from realfill.runs.export import export_file

    if isinstance(run, Path) or not run.config.guide.only:  # else a person waits for a draft, which needs none of them
        from realfill.models.registry import silence_libraries

        silence_libraries()
    with contextlib.closing(Progress()) as report:
        outcome = stages.complete(run, scene=source, config=config, report=report, device=options.device, until=until)
    result = outcome.result
    if out is not None:
        export_file(Run.open(outcome.run), out)
        result = out
    if options.json:
        print_json({**outcome.as_json(), "result": None if result is None else str(result)})
    elif until == "export" and result is not None:
        matches = "" if outcome.matches is None else f", {outcome.matches} matches ({outcome.matcher})"
        typer.echo(f"{result}  seed {outcome.seed}{matches}, {duration(sum(outcome.seconds.values()))}")
    else:
        typer.echo(str(outcome.run))
