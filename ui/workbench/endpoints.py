"""What the workbench asks of the server. Each answer is JSON: what was asked for, or {"error": a sentence}.

Every argument is whatever a client sent.
"""

import atexit
import contextlib
import hashlib
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from realfill import files
from realfill.errors import SceneError
from realfill.imaging.crop import crop_around_box
from realfill.scene import archive as scene_archive
from realfill.scene import examples, scene, scene_files
from realfill.scene.archive import find_members
from realfill.scene.outpaint import NOT_EXTENDED, Extension

from ..access import quotas, uploads
from ..access.uploads import check_path, read_kept_draft
from ..decoding import decoder, pointing
from ..decoding.decoder import PhotoFacts
from ..errors import Answer, Question, answer_errors, asked_field, asked_text
from ..language.catalogue import retell, translate
from . import mask_rle
from .drafts import DraftQueue
from .overlaps import Overlaps
from .payload import Payload, clean_name, drop_lost, mask_file, read_payload, scene_inputs

SHOWN = 2048  # longest side in pixels of a target that the browser cannot decode itself
FOREIGN = ("HEIF", "RAW", "TIFF")  # formats that browsers do not show
TINY = 64  # pixels of the shorter side from which on a photo shows something
SMALL_FILE = 50_000  # bytes
MOST_SIDE = 100_000  # pixels of a photo
MOST_FILES = 12  # of a scene folder
MOST_OTHERS = 500  # names of files beside them
HALF_DAY = uploads.KEEP_SECONDS / 2
_COPYING = threading.Lock()  # two answers may want one copy at once


def questions() -> list[Question]:
    """The functions that the browser may call, each by its own name."""
    overlaps, drafts = Overlaps(), DraftQueue()
    atexit.register(drafts.close)

    def look_overlap(asked: Any) -> Answer:
        """How many points a reference shares with the target."""
        target, reference = _file(asked, "target"), _file(asked, "reference")
        drafts.prepare()  # there are photos to draft from
        if overlaps.is_same(reference, target):
            return {"same": True}
        return {"shared": (count := overlaps.count_points(reference, target)), "little": overlaps.is_little(count)}

    def begin_draft(asked: Any) -> Answer:
        """Has the instant draft of a scene made, in place of the one that the same tab asked for before."""
        return drafts.begin(read_payload(asked_field(asked, "scene")), asked_text(asked, "tab"))

    def look_draft(asked: Any) -> Answer:
        """How far that is; in the end what to show."""
        return drafts.look(asked_text(asked, "draft"))

    def drop_draft(asked: Any) -> Answer:
        """Nobody wants it any more."""
        drafts.drop(asked_text(asked, "draft"))
        return {}

    return [
        answer_errors(question)
        for question in (
            take_reference, take_target, take_mask, mark_object, fit_marks, frame_context, give_mask, give_scene,
            list_examples, open_example, open_zip, open_files, keep_scene, recall_scene, look_overlap,
            begin_draft, look_draft, drop_draft,
        )
    ]  # fmt: skip


def take_reference(asked: Any) -> Answer:
    """Checks an uploaded reference and makes its thumbnail."""
    path = _file(asked, "path")
    answer, notice = _reference(path), ""
    if path.stat().st_size < SMALL_FILE:  # only such a file can hold a tiny photo, and it is decoded in no time
        facts = decoder.read_facts(path)
        notice = _tiny_notice(path, facts.width, facts.height)
    return {**answer, "notice": notice}


def take_target(asked: Any) -> Answer:
    """Checks an uploaded target; its transparent part, if it has one, comes back as marked.

    With `preview` the picture is our own rendering, for a browser that shows the file otherwise than we read it.
    """
    path, preview = _file(asked, "path"), asked_field(asked, "preview") is True
    facts = decoder.read_facts(path, SHOWN, None if preview else FOREIGN)
    notice = _tiny_notice(path, facts.width, facts.height)
    answer = {**_target(path, facts), "strokes": facts.strokes, "notice": notice}
    return {**answer, "picture": str(uploads.thumbnail_path(path, SHOWN))} if preview else answer


def take_mask(asked: Any) -> Answer:
    """What an uploaded mask file marks in the target."""
    payload = read_payload(asked_field(asked, "scene"))
    path, target = _file(asked, "path"), payload.target
    if target is None:
        raise SceneError("There is no target yet; add the photo first, then its mask.")
    drawn = decoder.read_mask(path, target, payload.extension)
    if drawn.strokes is None:
        raise SceneError("{name} marks nothing to fill; the missing part is white in a mask.", name=path.name)
    return {"strokes": drawn.strokes, "mask": str(path) if drawn.is_exact else None, "notices": _tell(drawn.notices)}


def mark_object(asked: Any) -> Answer:
    """The strokes of what stands out in a box of the target, by SAM 2.1 where that is here, else by GrabCut.

    `box` is left, top, right, bottom in its pixels. Without sides it is a point, and means the thing there.
    """
    box, target = asked_field(asked, "box"), _file(asked, "target")
    if not (isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)):
        raise SceneError("The box did not arrive whole; draw it again.")
    facts = decoder.read_facts(target)
    find = pointing.POINTING.mark if pointing.is_here() else decoder.mark_object
    if box[:2] == box[2:]:
        x, y = min(max(box[0], 0), facts.width - 1), min(max(box[1], 0), facts.height - 1)
        strokes = find(target, (x, y, x, y))
    else:
        left, right = (min(max(side, 0), facts.width) for side in box[::2])
        top, bottom = (min(max(side, 0), facts.height) for side in box[1::2])
        strokes = find(target, (left, top, right, bottom)) if left < right and top < bottom else None
    if strokes is None:
        raise SceneError("Nothing stands out in there; draw the box closer around one thing, or use the brush.")
    return {"strokes": strokes, "by": "sam" if pointing.is_here() else "grabcut"}


def fit_marks(asked: Any) -> Answer:
    """The strokes of a scene, fitted to the edges of what they lie on."""
    payload = read_payload(asked_field(asked, "scene"))
    if payload.target is None or payload.strokes is None:
        raise SceneError("Nothing is marked yet; paint over what is to be filled in first.")
    return {"strokes": decoder.fit_marks(payload.target, mask_rle.encode(payload.strokes))}


def frame_context(asked: Any) -> Answer:
    """What a base sees around a hole: its crop of the photo, at what size it works, and how much that is enlarged.

    `hole` is the bounding box, `width` and `height` the photo's, `context` the share of the hole's sides.
    """
    numbers = [asked_field(asked, name) for name in ("width", "height", "size", "multiple")]
    hole, context = asked_field(asked, "hole"), asked_field(asked, "context")
    whole = isinstance(hole, list) and len(hole) == 4 and all(type(number) is int for number in (*hole, *numbers))
    if not whole or type(context) not in (int, float):
        raise SceneError("What the model sees cannot be drawn; reload the page, your scene is kept.")
    width, height, size, multiple = numbers
    left, top, right, bottom = hole
    inside = 0 <= left < right <= width <= MOST_SIDE and 0 <= top < bottom <= height <= MOST_SIDE
    if not (inside and 8 <= size <= MOST_SIDE and 1 <= multiple <= size and 0 <= context <= 8):
        raise SceneError("What the model sees cannot be drawn; reload the page, your scene is kept.")
    crop = crop_around_box((left, top, right, bottom), height, width, size=size, multiple=multiple, context=context)
    return {"box": list(crop.box), "width": crop.width, "height": crop.height, "enlargement": scene.enlargement(crop)}


def give_mask(asked: Any) -> Answer:
    """The mask at the extended target's size as a PNG for download; white is filled in."""
    payload = read_payload(asked_field(asked, "scene"))
    if payload.target is None:
        raise SceneError("There is no target yet; add the photo first.")
    return _download(mask_file(payload, payload.target), f"{payload.target.stem}-mask.png")


def give_scene(asked: Any) -> Answer:
    """The scene as a zip for download: a scene folder as the command line takes it."""
    payload = read_payload(asked_field(asked, "scene"))
    inputs, variants = scene_inputs(payload)
    place = uploads.place("packed", secrets.token_hex(16))
    try:
        stem = _plain_name(inputs.name or inputs.target.stem)
        decoder.assemble(place / stem, inputs.references, inputs.target, inputs.mask, variants=variants)
        scene_archive.pack(place / stem, place / f"{stem}.zip")
        return _download(place / f"{stem}.zip", f"{stem}.zip")
    finally:
        files.remove_folder(place)


def list_examples(asked: Any) -> Answer:
    """Pictures of the scenes that come with the program; none where they are not installed."""
    entries = []
    for example in examples.examples():
        target = next(path for path in scene_files.pictures(example.folder / "target") if path.stem.lower() == "target")
        entries.append({"name": example.name, "thumb": decoder.thumbnail(target)})
    return {"examples": entries}


def open_example(asked: Any) -> Answer:
    """An example as a scene of one's own."""
    example = examples.find(asked_text(asked, "name"))
    return open_scene(example.folder, example.title)


def open_zip(asked: Any) -> Answer:
    """The scene in an uploaded zip file."""
    archive = _file(asked, "path")
    if not zipfile.is_zipfile(archive):
        raise SceneError("{name} is not a zip file; pack the scene's folder again.", name=archive.name)
    size, notices = decoder.look_inside(archive)
    quotas.admit(size)
    with _place_to_open(_plain_name(archive.stem)) as folder:
        decoder.unpack(archive, folder)
        return _read_folder(folder, archive.stem, notices)


def open_files(asked: Any) -> Answer:
    """The scene in the uploaded files of a folder, each with the name that it had there.

    `others` are the names of the files there that were not sent; what is to be said about them is in the answer.
    """
    listed = asked_field(asked, "files")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_FILES:
        raise SceneError("There is no scene in there; a scene is a folder with ref/ and target/target.png in it.")
    listed_files = [(str(asked_field(item, "name"))[:1000], _file(item, "path")) for item in listed]
    others = asked_field(asked, "others")
    names = [name[:1000] for name in others[:MOST_OTHERS] if isinstance(name, str)] if isinstance(others, list) else []
    found = find_members([*(name for name, _ in listed_files), *names])
    quotas.admit(sum(path.stat().st_size for name, path in listed_files if name in found.places))
    with _place_to_open("scene") as folder:
        scene_archive.gather(listed_files, folder)
        return _read_folder(folder, found.root, found.notices)


def keep_scene(asked: Any) -> Answer:
    """Keeps the scene on the server, for the tab to find it again after a reload."""
    payload = read_payload(asked_field(asked, "scene"))
    known = asked_field(asked, "draft")
    draft = known if isinstance(known, str) else None
    return {"draft": uploads.keep_draft(payload.to_json(), draft, visitor=quotas.visitor(), admit=quotas.admit)}


def recall_scene(asked: Any) -> Answer:
    """The scene that was kept; {} where there is none any more."""
    name = asked_field(asked, "draft")
    value = read_kept_draft(name) if isinstance(name, str) else None
    if value is None:
        return {}
    payload, lost = drop_lost(value)
    notice = [translate("Some photos of this scene are not on the server any more; add them again.")]
    return {**payload_answer(payload), "notices": notice if lost else []}


def open_scene(folder: Path, name: str = "", extension: Extension = NOT_EXTENDED) -> Answer:
    """A scene folder, copied into the private folder, as the workbench shows it; `name` or the folder's is its name.

    Args:
        extension: by how much its target was extended; the photo is shown as it was, with that around it.

    Raises:
        SceneError: it is no scene, or one of its photos cannot be used.
    """
    listed_files = [(str(path.relative_to(folder)), path) for path in files.walk_files(folder)]
    state = [(part, path.stat().st_mtime_ns, path.stat().st_size) for part, path in listed_files]
    # one copy serves for half a day; what is older than a day may be swept at any moment
    place = uploads.place("opened", f"{folder.resolve()} {state} {extension} {time.time() // HALF_DAY}")
    copy = place / _plain_name(folder.name)
    with _COPYING:
        if not copy.is_dir():
            scene_archive.gather(_take_back(listed_files, extension, place) if extension else listed_files, copy)
    return {**_read_folder(copy, name or folder.name), "extend": extension.sides()}


def _take_back(listed_files: Sequence[tuple[str, Path]], extension: Extension, place: Path) -> list[tuple[str, Path]]:
    """The files of a scene, its target and mask as they were before extending; those are made in `place`."""
    before = []
    for name, path in listed_files:
        if Path(name).parent.name != "target":
            before.append((name, path))
            continue
        made = place / f"{path.stem}.png"
        decoder.take_back(path, extension, made)
        before.append((str(Path(name).with_name(made.name)), made))
    return before


def payload_answer(payload: Payload, facts: PhotoFacts | None = None) -> Answer:
    """A scene with all that the browser needs to show it; `facts` are the target's, where they are known."""
    target = None if payload.target is None else _target(payload.target, facts)
    return {**payload.to_json(), "references": [_reference(path) for path in payload.references], "target": target}


@contextlib.contextmanager
def _place_to_open(name: str) -> Iterator[Path]:
    """A path of its own for a scene folder; what was laid there goes again where the scene cannot be opened."""
    place = uploads.place("opened", secrets.token_hex(16))
    try:
        yield place / name
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _read_folder(folder: Path, name: str, notices: Sequence[str] = ()) -> Answer:
    """A scene folder inside the private folder, what it is called, and what is to be said about it already."""
    if not (folder / "ref").is_dir():
        most = scene.MOST_REFERENCES
        raise SceneError(
            "The scene in there has no reference photos; put one to {most} of the same place into ref/.", most=most
        )
    references, target = scene_files.pictures(folder / "ref"), scene_files.pictures(folder / "target")
    by_stem = {path.stem.lower(): path for path in target}
    payload = Payload(references=tuple(references), target=by_stem["target"], name=clean_name(name))
    facts, mask = decoder.read_facts(by_stem["target"], SHOWN, FOREIGN), by_stem.get("mask")
    if mask is None:
        return {**payload_answer(payload, facts), "strokes": facts.strokes, "notices": _tell(notices)}
    drawn = decoder.read_mask(mask, by_stem["target"], NOT_EXTENDED)
    if drawn.is_all:
        return {**payload_answer(replace(payload, variants=True), facts), "notices": _tell([*notices, *drawn.notices])}
    marked = replace(payload, mask=mask if drawn.strokes else None)
    return {**payload_answer(marked, facts), "strokes": drawn.strokes, "notices": _tell([*notices, *drawn.notices])}


def _tell(notices: Sequence[str]) -> list[str]:
    return [retell(notice) for notice in notices]


def _reference(path: Path) -> Answer:
    return {"path": str(path), "name": path.name, "thumb": decoder.thumbnail(path)}


def _target(path: Path, facts: PhotoFacts | None) -> Answer:
    facts = facts or decoder.read_facts(path, SHOWN, FOREIGN)
    picture = str(uploads.thumbnail_path(path, SHOWN) if facts.format in FOREIGN else path)
    return {"path": str(path), "name": path.name, "width": facts.width, "height": facts.height, "picture": picture}


def _tiny_notice(path: Path, width: int, height: int) -> str:
    """A sentence about a photo that is too small to show much, else empty."""
    if min(width, height) >= TINY:
        return ""
    return translate(
        "{name} has only {width} × {height} pixels, which show hardly anything; use a larger one.",
        name=path.name,
        width=width,
        height=height,
    )


def _download(made: Path, name: str) -> Answer:
    """A copy of a file for download; it is never in memory as a whole."""
    with made.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    if not (uploads.place("downloads", key) / name).exists():
        quotas.admit(made.stat().st_size)
    return {"file": uploads.offer_copy(made, key, name), "name": name}


def _plain_name(name: str) -> str:
    kept = "".join(sign if sign.isalnum() or sign in " -_" else "-" for sign in name[:60]).strip(" -_")
    return kept or "scene"


def _file(asked: Any, name: str) -> Path:
    value = asked_field(asked, name)
    path = check_path(value) if isinstance(value, str) else None
    if path is None:
        raise SceneError(uploads.GONE)
    return path
