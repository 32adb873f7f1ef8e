"""Writing files so that a reader, or the next start after a kill, sees the old content or the new, never a part.

A file is written under a temporary name in the same folder, synced to the disk and renamed; the folder is
synced too. Leftovers of killed writers are hidden and end as nobody else's files do; `sweep` removes them.
"""

import contextlib
import errno
import functools
import json
import os
import re
import secrets
import shutil
import struct
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from realfill.errors import DiskFull, OptionError, RunBusy, RunError

MAX_JSON = 16 * 2**20  # bytes of a JSON file; a scene that was begun has 8 MB with its mask
MAX_HEADER = 100 * 2**20  # bytes, safetensors' own bound
MAX_DEPTH = 64  # lists and objects in one another; ours have about five
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_SUFFIX = ".realfill.tmp"  # other programs' hidden files often end in .tmp too
_LONGEST = 200  # bytes of a name that are repeated in its temporary name: disks take 255
_TEMPORARY = re.compile(rf"\.(.+)\.[0-9a-f]{{12}}{re.escape(_SUFFIX)}")
WINDOWS = os.name == "nt"
_TRIES, _PAUSE = 20, 0.05  # seconds between tries: a second of them, while others have a file open for a moment
Result = TypeVar("Result")


def retry(do: Callable[[], Result]) -> Result:
    """What `do` returns, a read or a rename; where Windows refuses, it is tried again for about a second.

    Python opens files there so that nobody may replace them meanwhile, and a file that is being replaced cannot
    be opened. Elsewhere neither happens, and a refusal is final at once.

    Raises:
        PermissionError: it was refused to the end.
    """
    for _ in range(_TRIES if WINDOWS else 0):
        try:
            return do()
        except PermissionError:
            time.sleep(_PAUSE)
    return do()


def replace(source: Path, target: Path) -> None:
    """Renames a file or folder into place, over what is there; patiently."""
    retry(lambda: os.replace(source, target))


@contextlib.contextmanager
def speak_full_disk(folder: Path) -> Iterator[None]:
    """Gives a full disk its sentence while writing to `folder`; other refusals stay what they are.

    Raises:
        DiskFull: no space or no quota is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            place = lasting_path(folder)
            raise DiskFull(
                "The disk of {place} is full; free some space and run the same command again.", place=place
            ) from error
        raise


@contextlib.contextmanager
def speak_refusals(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals while writing `path` into sentences.

    Raises:
        DiskFull: no space or no quota is left.
        RunError: the folder is read-only, is no folder or has gone.
    """
    try:
        with speak_full_disk(path.parent):
            yield
    except OSError as error:
        raise RunError(
            "{path} cannot be written: {reason}.", path=lasting_path(path), reason=error.strerror or error
        ) from error


def temporary_path(path: Path) -> Path:
    """A fresh name beside `path`; hidden, and recognised by `is_temporary`."""
    name = os.fsencode(path.name)[:_LONGEST].decode(errors="ignore")
    return path.with_name(f".{name}.{secrets.token_hex(6)}{_SUFFIX}")


def is_temporary(name: str) -> bool:
    """Whether a file's name is one that `temporary_path` gave."""
    return _TEMPORARY.fullmatch(name) is not None


def lasting_path(path: Path) -> Path:
    """A path as a person knows it: what has a temporary name until it is whole goes by the name it will have."""
    parts = [match[1] if (match := _TEMPORARY.fullmatch(part)) else part for part in path.parts]
    return Path(*parts)


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths mean one file, through links, hard links and "..", or would on a disk that is blind to case."""
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    first, second = (unicodedata.normalize("NFC", str(path.resolve())).casefold() for path in (one, other))
    return first == second


def check_output(path: Path) -> None:
    """Whether a file can be written there, before any work for it begins.

    Raises:
        OptionError: a folder or a device stands there, or its folder cannot be had or written to.
    """
    if path.exists() and not path.is_file():
        raise OptionError(
            "{path} is {reason}; give the name of a file.", path=path, reason="a folder" if path.is_dir() else "no file"
        )
    place = next((place for place in path.absolute().parents if os.path.lexists(place)), path.parent)
    if not place.is_dir():
        raise OptionError(
            "{path} cannot be written, since {place} is no folder; give another place.", path=path, place=place
        )
    if not os.access(place, os.W_OK):
        raise OptionError(
            "{path} cannot be written, since nothing may be written to {place}; give another place.",
            path=path,
            place=place,
        )


def write_bytes(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Writes a whole file at once: after a kill or a power cut `path` holds the old bytes or the new.

    `mode` is what `os.open` gives a new file, less the umask.

    Raises:
        DiskFull, RunError: as `speak_refusals`; the old file is untouched.
    """
    draft = temporary_path(path)
    with speak_refusals(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(draft, "xb", opener=functools.partial(os.open, mode=mode)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            replace(draft, path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise


def write_json(path: Path, data: Any) -> None:
    """Writes `data` as readable JSON, atomically."""
    write_bytes(path, _encode(json.dumps(data, indent=1, ensure_ascii=False) + "\n"))


def _encode(text: str) -> bytes:
    """JSON as UTF-8. Names of files may hold bytes that are no text: they become escapes, which JSON reads again."""
    return text.encode(errors="backslashreplace")


def parse_json(data: bytes | str) -> Any:
    """The value in JSON that may come from anybody.

    Raises:
        ValueError: it is none, or nested more than `MAX_DEPTH` deep, which would stop whoever walks through it.
    """
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for item in level for inner in _list_inner(item)]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def _list_inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no file.

    Raises:
        RunError: the file holds something else, more than `MAX_JSON` bytes or more than `MAX_DEPTH` levels; since all
            writes are atomic it was changed by hand.
    """
    try:
        data = parse_json(retry(functools.partial(_read_bounded, path)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RunError(
            "{path} cannot be read ({error}); delete it or give another folder.", path=path, error=error
        ) from error
    if not isinstance(data, dict):
        raise RunError("{path} does not hold what RealFill writes there; delete it or give another folder.", path=path)
    return data


def read_tensor_header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of its tensors, by name: `dtype`, `shape`, `data_offsets`.

    The format: 8 bytes of length, a JSON header, the tensors.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or cut off.
    """
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            size = path.stat().st_size
            header = json.loads(stream.read(length)) if length < min(size, MAX_HEADER) else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        is_whole = bool(ends) and size == 8 + length + max(ends)
    except (ValueError, struct.error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("its header is not that of a safetensors file") from error
    if not is_whole:
        raise ValueError("it is not as long as its header says")
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ValueError(f"it has more than {MAX_JSON >> 20} MB")
    return data


def append_line(path: Path, line: str) -> None:
    """Adds one line of JSON by one write. What a killed writer left of a last line becomes a line of its own.

    Raises:
        DiskFull, RunError: as `speak_refusals`.
    """
    data = _encode(line) + b"\n"
    with speak_refusals(path):
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            if size:
                os.lseek(handle, size - 1, os.SEEK_SET)
                if os.read(handle, 1) != b"\n":
                    data = b"\n" + data
            if os.write(handle, data) < len(data):  # the disk took only a part: it is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


def read_lines(path: Path, offset: int = 0) -> tuple[list[str], int]:
    """The whole lines from byte `offset` on, and the offset to go on from; a line without its end waits.

    An offset past the end means that the file was replaced: reading starts again at 0.
    """
    try:
        with retry(lambda: path.open("rb")) as file:
            size = file.seek(0, os.SEEK_END)
            offset = offset if 0 <= offset <= size else 0
            file.seek(offset)
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), offset + len(whole)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends it replaces `path` as a whole, and when it fails nothing changes.

    Raises:
        DiskFull, RunError: as `speak_refusals`.
    """
    draft = temporary_path(path)
    try:
        with speak_refusals(path):
            draft.mkdir(parents=True)
        yield draft
        with speak_refusals(path):
            for inner in sorted(draft.rglob("*")):
                _sync(inner)
            sync_folder(draft)
            remove_folder(path)
            replace(draft, path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def undo_creation(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Where the block fails, removes what it made: `folder`, its parents and these names in it, if they are new.

    Folders go only when they are empty; what was there before the block stays, and what others have put there.
    Of a folder that another process holds nothing is removed.
    """
    new = [folder / name for name in names if not os.path.lexists(folder / name)]
    new_folders = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        yield
    except RunBusy:
        raise
    except BaseException:
        with contextlib.suppress(OSError, RunError):
            for path in new:
                if path.is_dir():
                    remove_folder(path)
                else:
                    path.unlink(missing_ok=True)
            for place in new_folders:
                place.rmdir()
        raise


def remove_folder(path: Path) -> None:
    """Removes a folder, if there is one; under its own name it is there whole or not at all.

    A file or a link of that name is no folder and stays.
    """
    with speak_refusals(path):
        if path.is_dir() and not path.is_symlink():
            grave = temporary_path(path)
            replace(path, grave)
            shutil.rmtree(grave, ignore_errors=True)


def walk_files(folder: Path) -> list[Path]:
    """All files under a folder, by name; links are neither listed nor followed."""
    paths = (Path(inner) / name for inner, _, names in os.walk(folder) for name in names)
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def sweep(folder: Path, *, older_than: float = 60.0) -> None:
    """Removes what killed writers left in `folder`; younger than `older_than` seconds may still be in use.

    Other hidden names are somebody else's and stay.
    """
    if not folder.is_dir():
        return
    for path in filter(lambda path: is_temporary(path.name), list(folder.iterdir())):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < older_than:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def sync_folder(path: Path) -> None:
    """Makes a rename inside `path` last through a power cut, where the system has such a call."""
    if os.name == "posix":
        _sync(path)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
