"""What leaves a run: pictures at the target's own size with the record of how they were made, adapter, project."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from realfill import files, seeds
from realfill.arrays import Hole, Photo
from realfill.errors import OptionError, RunError
from realfill.geometry.draft import Draft, add_detail, load_draft
from realfill.geometry.propose import load_proposal
from realfill.imaging import composite, decode, encode
from realfill.imaging.crop import CropTransform
from realfill.imaging.encode import FORMATS, Format
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

_NOT_EXPORTED = ("confidence.png",)  # pictures beside the run's result that are not one
_NOT_PACKED = ("lock", "log.txt", "stop")
_MADE_BY = ("config", "base", "sampling_base", "adapter", "device", "precision", "versions")  # facts of a run


def chosen_seed(run: Run) -> tuple[int, int | None]:
    """The seed to export and its matches: the one a person chose, else the first of the ranking or the first made.

    Raises:
        RunError: nothing is sampled yet.
    """
    matches, done = _matches(run), run.seeds_done()
    ranked = [seed for seed in [run.labels.seed, *matches, *run.proposal_seeds(), *done] if seed in done]
    if not ranked:
        raise RunError("The run in {folder} has no pictures yet; run: realfill sample {folder}", folder=run.folder)
    return ranked[0], matches.get(ranked[0])


def choose_seed(run: Run, seed: int | None) -> None:
    """Remembers which seed is to be exported; None: the one with most matches.

    Raises:
        OptionError: the run has no picture of that seed.
    """
    if seed is not None and seed not in run.seeds_done():
        known = ", ".join(map(str, run.seeds_done())) or "none"
        raise OptionError(
            "The run in {folder} has no picture of seed {seed}; there are {known}.",
            folder=run.folder,
            seed=seed,
            known=known,
        )
    run.labels.update(seed=seed)


def export_record(run: Run, seed: int) -> dict[str, Any]:
    """All that made a seed's picture: settings, base with weight hash, versions. JSON data.

    The export's own settings are the run's as they are now, also where they are for this once and not written down.
    """
    record = {"seed": seed, "matches": _matches(run).get(seed), **{name: run.fact(name) for name in _MADE_BY}}
    return {**record, "config": {**record["config"], "export": run.config.export.model_dump(mode="json")}}


def crop_of_run(run: Run) -> CropTransform | None:
    """How the run's target became the working size, once that is known.

    Raises:
        RunError: run.json was changed by hand to something else.
    """
    known = run.fact("fit")
    try:
        return None if known is None else CropTransform.from_json(known)
    except (TypeError, ValueError) as error:
        raise RunError(
            "{folder}/run.json has no usable fit ({error}); start the run in a new folder.",
            folder=run.folder,
            error=error,
        ) from error


def check_photo(crop: CropTransform, hole: Hole) -> None:
    """Whether a crop belongs to the target of a hole (H, W).

    Raises:
        RunError: it is of a picture of another size.
    """
    if (crop.photo_height, crop.photo_width) != hole.shape:
        raise RunError("The run's fit is of a picture of another size than its target; start it in a new folder.")


def render_export(run: Run, scene: Scene, seed: int, file_format: Format) -> bytes:
    """The target with a seed's picture blended into its hole, encoded; known pixels beyond the feather unchanged."""
    picture = compose(run, scene, seed)
    return encode.encode(picture, file_format, quality=run.config.export.quality, record=export_record(run, seed))


def compose(run: Run, scene: Scene, seed: int) -> decode.Original:
    """What `render_export` encodes: the target in its own values with a seed's picture blended into its hole."""
    crop, wanted = crop_of_run(run), run.config.export
    if crop is None:
        raise RunError("The run in {folder} has not begun; run: realfill complete --run {folder}", folder=run.folder)
    check_photo(crop, scene.hole)
    generated = enlarge(run, scene, seed, crop)
    covered = crop.covered_hole()  # a wide feather may reach beyond it
    if wanted.match_colour:
        generated = composite.match_colour(scene.target, scene.hole, generated, feather=wanted.feather, covered=covered)
    return composite.composite(scene.original, scene.hole, generated, feather=wanted.feather, covered=covered)


def enlarge(run: Run, scene: Scene, seed: int, crop: CropTransform) -> Photo:
    """A seed's picture at the target's own size (H, W, 3), black beyond the crop.

    What geometry vouches for gets the references' own detail, which the working size had no room for; so does what
    keeps a proposal's texture.
    """
    generated = crop.uncrop_photo(run.read_seed(seed))
    draft = _draft_of(run, seed) if run.config.guide.detail else None
    if draft is None or draft.reason:
        return generated
    kept = 1.0 if seeds.is_proposal(seed) else run.config.guide.texture
    return add_detail(generated, draft, crop, scene.hole, least=kept)


def _draft_of(run: Run, seed: int) -> Draft | None:
    """The proposal that a seed is or began from, or the draft of a run without proposals."""
    begun = seed if seeds.is_proposal(seed) else run.started_from(seed)
    if begun is None:
        return None
    if run.config.guide.proposals:
        return load_proposal(run.proposals_folder, seeds.proposal_number(begun))
    return load_draft(run.draft_folder, warped=False)


def encode_settings(run: Run) -> bytes:
    """All settings of the run with base and versions, as readable JSON."""
    facts = {name: run.fact(name) for name in ("created", *_MADE_BY, "adapter_steps")}
    return json.dumps({"name": run.labels.name, **facts}, indent=1, ensure_ascii=False).encode()


def pack_pictures(run: Run, scene: Scene, seeds: Sequence[int], file_format: Format, into: BinaryIO) -> None:
    """A zip with the composite of each seed and the run's settings."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as archive:
        for seed in seeds:
            name = f"{run.seed_path(seed).stem}{FORMATS[file_format].suffixes[0]}"
            archive.writestr(name, render_export(run, scene, seed, file_format))
        archive.writestr("settings.json", encode_settings(run))


def pack_lora(run: Run, into: BinaryIO) -> None:
    """A zip with the adapter, as stock pipelines load it, and the settings that made it. Links are left out.

    Raises:
        RunError: training has not finished yet.
    """
    if not run.lora.is_dir() or run.lora.is_symlink():
        raise RunError("There is no adapter yet; it is there when training has finished.")
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as archive:
        _pack_folder(archive, run.lora)
        archive.writestr("settings.json", encode_settings(run))


def pack_project(run: Run, into: BinaryIO) -> None:
    """A zip of the whole run: unpacked among other runs it opens and goes on.

    Left out are logs and locks, and links, which may lead anywhere.
    """
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as archive:
        _pack_folder(archive, run.folder, without=_NOT_PACKED)


def _pack_folder(archive: zipfile.ZipFile, folder: Path, *, without: Sequence[str] = ()) -> None:
    """Adds the files of a folder by their places in it, without links, which may lead anywhere, and hidden ones."""
    for path in files.walk_files(folder):
        inside = path.relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts) and str(inside) not in without:
            archive.write(path, inside.as_posix())


def check_export_path(run: Run, path: Path) -> Format:
    """The format that a file's name says, where an export may be written there: nothing of the run is lost.

    Raises:
        OptionError: the name ends in none of the formats' endings, no file can be written there, or it is one of the
            run's own.
    """
    file_format = encode.find_format(path)
    files.check_output(path)
    inside = any(files.is_same_file(folder, run.folder) for folder in path.resolve().parent.parents)
    own = (one for one in files.walk_files(run.folder) if one.parent != run.folder or one.name in _NOT_EXPORTED)
    if inside or any(files.is_same_file(path, one) for one in own):
        raise OptionError(
            "{path} belongs to the run in {folder} itself; give a place outside of its folders.",
            path=path,
            folder=run.folder,
        )
    return file_format


def export_file(run: Run, path: Path) -> int:
    """Writes the chosen picture to a file whose name says the format; returns the seed.

    Raises:
        OptionError: as `check_export_path`.
    """
    file_format = check_export_path(run, path)
    seed, _ = chosen_seed(run)
    scene = scenes.load(run.scene_folder, variants=run.config.variants)
    files.write_bytes(path, render_export(run, scene, seed, file_format))
    return seed


def _matches(run: Run) -> dict[int, int]:
    """Matches by seed, best first."""
    return {entry["seed"]: entry["matches"] for entry in run.read("scores").get("seeds", [])}
