"""The commands `bench`, `bench-score` and `bench-get`. torch is imported by the ones that need it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from realfill.cli.progress import print_json
from realfill.errors import OptionError
from realfill.evaluation.methods.registry import DEFAULT, ENTRIES
from realfill.matching.registry import MATCHERS

if TYPE_CHECKING:
    from realfill.evaluation.plan import Scoring
    from realfill.evaluation.results import Results
    from realfill.evaluation.store import Store

OutOption = Annotated[Path, typer.Option("-o", "--out", help="The benchmark's folder.", metavar="DIR")]
ScenesOption = Annotated[str, typer.Option(help="Only these scenes, like 0-4,berry_bowl.")]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="A folder with the metrics' weights: dino-vits16/, clip-vit-base-patch32/, dreamsim/."),
]
MatchersOption = Annotated[
    str,
    typer.Option(
        help="Matchers that are compared, with a file of weights where one is not installed, like sift,aliked=FILE; "
        "the first one that works here ranks. [default: all, or as before]"
    ),
]
FetchOption = Annotated[bool, typer.Option("--fetch", help="Download the metrics' and matchers' weights if missing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="End with one JSON object on stdout.")]


@add_options
def bench(  # noqa: PLR0913, a parameter is an option
    root: Annotated[Path, typer.Argument(help="A folder of scenes, such as RealBench.", metavar="ROOT")],
    *,
    out: OutOption,
    method: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(ENTRIES)}; repeatable. [default: {', '.join(DEFAULT)}]"),
    ] = None,
    scenes: ScenesOption = "",
    references: Annotated[str, typer.Option(help="Also with only so many references, like 1-5.")] = "",
    prompts: Annotated[
        Path | None, typer.Option(help="JSON of scene: prompt, for sd-inpaint; a scene's own prompt.txt will do.")
    ] = None,
    text_base: Annotated[str, typer.Option(help="Text-to-image base of dreambooth: a folder or hub id.")] = "",
    example_base: Annotated[str, typer.Option(help="Base of paint-by-example: a folder or hub id.")] = "",
    matchers: MatchersOption = "",
    weights: WeightsOption = None,
    fetch: FetchOption = False,
    engine: EngineOption = "local",
    workers: WorkersOption = 1,
    timeout: TimeoutOption = 0,
    retries: RetriesOption = 0,
    slurm: SlurmOption = "",
    ray_address: RayAddressOption = "",
    ray_upload: RayUploadOption = False,
    options: Options,
) -> None:
    """Complete scenes with ground truth by several methods and measure: the paper's tables, plots, a report.

    The same command again goes on where it ended.
    """
    from realfill.evaluation.dataset import find_cases

    if options.variants:
        raise OptionError("Scene variants have no ground truth; leave --variants out.")
    cases, without = find_cases(root, scenes)
    config = options.config(out)
    prompt_by_scene = _read_prompts(prompts, [case.name for case in cases])
    counts = _parse_counts(references)

    from realfill.cli.progress import Progress
    from realfill.device.devices import choose_device
    from realfill.evaluation.methods.registry import expand_methods
    from realfill.evaluation.plan import BenchmarkPlan
    from realfill.evaluation.run import run_benchmark
    from realfill.events import Notice

    device = choose_device(options.device)
    select = config.select
    names, named_files = _parse_matchers(matchers)
    files: dict[str, str] = {select.matcher: select.weights} if select.weights else {}
    matching = {
        "matchers": names or tuple(dict.fromkeys([select.matcher, *MATCHERS])),
        "files": tuple({**files, **named_files}.items()),
        "size": select.size,
        "confidence": select.confidence,
        "context": config.fit.context,
    }
    plan = BenchmarkPlan(
        out=out.resolve(),
        methods=tuple(expand_methods(method or (), counts)),
        config=config,
        scoring=_make_scoring(matching, device, weights, fetch=fetch),
        device=device,
        prompts=prompt_by_scene,
        text_base=text_base,
        example_base=example_base,
    )
    report = Progress()
    if without:
        report(Notice(f"Left out, since they have no ground truth: {', '.join(without)}."))
    engine_options = EngineOptions(engine, workers, retries, slurm, ray_address, ray_upload)
    results = run_benchmark(
        plan,
        root,
        cases,
        executor=make_executor(engine_options, plan.out / ".jobs", device=options.device, serial=True),
        timeout=timeout * 60 or float("inf"),
        report=report,
        make_report=Progress,
    )
    _print_results(plan.out, results, options.json)


def bench_score(  # noqa: PLR0913
    folder: Annotated[Path, typer.Argument(help="A benchmark's folder, or a new one for --add.", metavar="DIR")],
    *,
    root: Annotated[Path | None, typer.Option(help="The scenes. [default: where DIR's were]", metavar="ROOT")] = None,
    add: Annotated[
        list[str] | None, typer.Option(help="Score other pictures too, FOLDER/SCENE/SEED.png.", metavar="NAME=FOLDER")
    ] = None,
    scenes: ScenesOption = "",
    matchers: MatchersOption = "",
    weights: WeightsOption = None,
    fetch: FetchOption = False,
    workers: WorkersOption = 1,
    device: Annotated[str, typer.Option(help="auto, cuda, cuda:1, mps or cpu.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Score the pictures in a benchmark's folder (again), and pictures that others made."""
    from realfill.evaluation.dataset import find_cases
    from realfill.evaluation.store import Store

    store = Store(folder.resolve())
    scenes_root = _find_root(store, root)
    cases, _ = find_cases(scenes_root, scenes)
    additions = dict(_parse_addition(text) for text in add or ())

    from realfill.cli.progress import Progress
    from realfill.device.devices import choose_device
    from realfill.evaluation import run
    from realfill.evaluation.external import add_pictures

    scoring_device = choose_device(device)
    run.check_folder(store)
    for name, pictures in additions.items():
        add_pictures(store, name, pictures, cases)
    if not store.methods():
        raise OptionError(f"{folder} holds no pictures; add some with --add NAME=FOLDER, or run: realfill bench.")
    cases = [case for case in cases if any(store.seeds(name, case.name) for name in store.methods())]
    _remember_scenes(store, scenes_root, [case.name for case in cases])
    before = store.facts().get("scoring", {}).get("settings", {})
    matching = {name: before[name] for name in run.RESCORE_SETTINGS if name in before}
    names, named_files = _parse_matchers(matchers)
    files = {str(name): str(file) for name, file in matching.get("files", ()) if Path(file).is_file()}
    matching |= {
        "matchers": names or tuple(matching.get("matchers", ())),
        "files": tuple({**files, **named_files}.items()),
    }
    scoring = _make_scoring(matching, scoring_device, weights, fetch=fetch)
    executor = make_executor(EngineOptions(workers=workers), store.folder, device=device, serial=True)
    results = run.rescore(store, cases, scoring, executor=executor, report=Progress(), make_report=Progress)
    _print_results(store.folder, results, as_json)


def bench_get(
    archive: Annotated[Path | None, typer.Argument(help="RealBench's zip, once downloaded.", metavar="FILE")] = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to unpack it; a new folder.")] = Path("RealBench"),
    sha256: Annotated[str, typer.Option(help="The zip's SHA-256, if you know it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say where RealBench is published, and unpack its zip."""
    from realfill.evaluation import realbench

    if archive is None:
        typer.echo(realbench.WHERE)
        if as_json:
            print_json({"where": realbench.WHERE})
        return
    unpacked = realbench.unpack(archive, out, sha256=sha256)
    typer.echo(f"{unpacked.scenes} scenes with ground truth, {unpacked.others} without, in {unpacked.folder}.")
    typer.echo(f"SHA-256 of the zip: {unpacked.sha256}")
    if as_json:
        print_json(vars(unpacked))


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("bench")(bench)
    app.command("bench-score")(bench_score)
    app.command("bench-get")(bench_get)


def _make_scoring(matching: dict[str, Any], device: str, weights: Path | None, *, fetch: bool) -> "Scoring":
    from realfill.evaluation import score
    from realfill.evaluation.plan import Scoring

    if weights is not None and not weights.is_dir():
        raise OptionError(f"There is no folder {weights}; --weights is a folder with the metrics' weights.")
    names = tuple(matching.get("matchers") or MATCHERS)
    score.check_matchers(names)
    folder = None if weights is None else weights.resolve()
    return Scoring(device, folder, fetch=fetch, **{**matching, "matchers": names})


def _parse_matchers(text: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """`"sift, aliked=FILE"` → the names sift and aliked, and aliked's file.

    Raises:
        OptionError: a file that is named is not there.
    """
    files: dict[str, str] = {}
    names: list[str] = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, equals, file = (piece.strip() for piece in part.partition("="))
        names.append(name)
        if equals:
            path = Path(file).expanduser().resolve()
            if not path.is_file():
                raise OptionError(f"There is no file {path}; --matchers {part} names one with the matcher's weights.")
            files[name] = str(path)
    return tuple(dict.fromkeys(names)), files


def _read_prompts(file: Path | None, scenes: list[str]) -> dict[str, str]:
    if file is None:
        return {}
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{file} cannot be read as JSON ({error}); it holds scene names and their prompts."
        ) from error
    if not isinstance(data, dict) or not all(isinstance(value, str) and value.strip() for value in data.values()):
        raise OptionError(f'{file} is not of the form {{"scene": "a photo of …"}}.')
    if not data.keys() & set(scenes):
        raise OptionError(f"{file} has a prompt for none of these scenes; its names must be those of their folders.")
    return {str(name): " ".join(value.split()) for name, value in data.items()}


def _parse_counts(text: str) -> tuple[int, ...]:
    """`"1-3"` → 1, 2, 3."""
    if not text:
        return ()
    from realfill.config import parse_seeds
    from realfill.scene.scene import MOST_REFERENCES

    counts = parse_seeds(text)
    if not all(1 <= count <= MOST_REFERENCES for count in counts):
        raise OptionError(f"--references {text} is beyond 1-{MOST_REFERENCES}; a scene has so many references.")
    return counts


def _parse_addition(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name.strip() or not folder:
        raise OptionError(f"--add {text} has no name and folder; write it like --add theirs=FOLDER.")
    return name.strip(), Path(folder)


def _find_root(store: "Store", root: Path | None) -> Path:
    if root is not None:
        return root
    known = store.facts().get("root")
    if known is None:
        raise OptionError(f"{store.folder} does not say where its scenes are; give them with --root.")
    return Path(str(known))


def _remember_scenes(store: "Store", root: Path, scenes: list[str]) -> None:
    facts = store.facts()
    before = facts.get("scenes", []) if facts.get("root") == str(root.resolve()) else []
    names = list(dict.fromkeys([*before, *scenes]))
    store.write_facts({"schema": 1, **facts, "root": str(root.resolve()), "scenes": names})


def _print_results(folder: Path, results: "Results", as_json: bool) -> None:
    from realfill.evaluation.report import markdown
    from realfill.evaluation.results import to_json

    typer.echo(markdown.table_1(results), nl=False)
    typer.echo(f"{folder / 'report.html'}")
    if as_json:
        data = to_json(results)
        names = ("table_1", "not_measured", "ranked_by", "without_picture")
        print_json({"folder": folder, "report": folder / "report.html", **{name: data[name] for name in names}})
