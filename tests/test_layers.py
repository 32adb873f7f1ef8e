"""The order of modules in docs/design.md: read from the code, and tried in a fresh process."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A folder imports from the lines above its own, and not from its neighbours; the root's files from one another, without
# a circle. A new folder takes its place here and in docs/design.md.
ROOT_FILES = (
    "sentences errors arrays seeds events humanize bases config files locks network published assets terminal garbage"
)
LAYERS = (
    ROOT_FILES,
    "imaging",
    "scene device distributed",
    "matching",
    "models geometry",
    "runs",
    "training",
    "jobs sampling",
    "pipeline",
    "evaluation",
    "batch",
    "cli",
    "__main__",
)
# What the page's process lives on: names no heavy library at all, not in a function either.
PAGE_MAY_USE = (
    *ROOT_FILES.split(),
    *("imaging", "scene", "geometry", "runs", "jobs", "distributed"),
    *("device.memory_plan", "matching.rootsift", "matching.epipolar", "matching.overlap", "matching.matcher"),
)
# Imported before torch is needed: the command line is quick to refuse.
WAITS_WITH_TORCH = (*PAGE_MAY_USE, "device", "matching.registry", "pipeline", "batch", "cli", "__main__")
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate", "kornia")
LAYER = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
FILES = sorted((ROOT / "realfill").rglob("*.py"))
ZERO_GPU = ROOT / "ui" / "zero_gpu.py"  # on a ZeroGPU Space alone the page's process computes, and imports torch
PAGE = [ROOT / "app.py", *(path for path in sorted((ROOT / "ui").rglob("*.py")) if path != ZERO_GPU)]


def imports(path: Path, *, top: bool = False) -> Iterator[str]:
    """Full names of what a file imports, `package.name` for `from package import name`; `top`: at import time only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in _top_level(tree) if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [*package[: len(package) - node.level + 1], node.module or ""] if node.level else [node.module or ""]
            )
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported: not the bodies of functions, not what only type checkers see."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        yield node
        waiting += list(ast.iter_child_nodes(node))


def name_of(path: Path) -> str:
    """`realfill/models/lora.py` → `models.lora`, `realfill/models/__init__.py` → `models`."""
    return ".".join(path.relative_to(ROOT / "realfill").with_suffix("").parts).removesuffix(".__init__")


def folder_of(name: str) -> str:
    """`models.lora` → `models`."""
    return name.split(".", maxsplit=1)[0]


def used(path: Path) -> set[str]:
    """Our own modules and names that a file imports anywhere, without the `realfill.` before them."""
    return {name.removeprefix("realfill.") for name in imports(path) if name.startswith("realfill.")}


def is_among(name: str, allowed: tuple[str, ...]) -> bool:
    """Whether a module, or the folder it lies in, is in a list."""
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def heavy(path: Path, *, top: bool = False) -> set[str]:
    """The heavy libraries that a file names."""
    return {name for name in imports(path, top=top) if name.split(".")[0] in HEAVY}


LIBRARY = [path for path in FILES if name_of(path) != "__init__"]


def test_every_folder_has_its_line() -> None:
    unknown = {folder_of(name_of(path)) for path in LIBRARY} - LAYER.keys()
    assert not unknown, f"give {unknown} a line in LAYERS and in docs/design.md"
    assert not LAYER.keys() - {folder_of(name_of(path)) for path in LIBRARY}, "a line names what is not there"


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_imports_point_up(path: Path) -> None:
    mine = folder_of(name_of(path))
    others = {folder_of(name) for name in used(path)} - {mine}
    wrong = {name for name in others if LAYER[name] > LAYER[mine] or (LAYER[name] == LAYER[mine] > 0)}
    assert not wrong, f"{path.name} imports {wrong} from its own line or from further down"


def test_no_circles() -> None:
    """Between folders and between the root's files (their layers forbid the rest), and between a folder's modules."""
    graph: dict[str, set[str]] = {}
    for path in LIBRARY:
        known = {name for name in used(path) if (ROOT / "realfill" / f"{name.replace('.', '/')}.py").is_file()}
        owners = {name.rpartition(".")[0] for name in used(path)}
        known |= {name for name in owners if (ROOT / "realfill" / f"{name.replace('.', '/')}.py").is_file()}
        graph[name_of(path)] = known - {name_of(path)}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_library_knows_no_page() -> None:
    for path in FILES:
        wrong = {name for name in imports(path) if name.split(".")[0] in ("ui", "app", "gradio")}
        assert not wrong, f"{path} imports {wrong}"


def test_the_page_does_not_import_itself_by_name() -> None:
    """A wheel carries it inside a package of its own."""
    for path in PAGE[1:]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert "ui" not in {name.split(".")[0] for name in names}, f"{path}: import it relatively"


def test_packages_are_doors_without_code() -> None:
    for path in FILES:
        if path.name == "__init__.py":
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                is_doc = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                is_name = isinstance(node, ast.ImportFrom) or (
                    isinstance(node, ast.Assign) and "__all__" in ast.unparse(node)
                )
                assert is_doc or is_name, f"{path} holds code"


def test_the_page_uses_what_never_needs_torch() -> None:
    for path in PAGE:
        deep = {name for name in used(path) if not is_among(name, PAGE_MAY_USE)}
        assert not deep, f"{path} imports {deep}"
        assert not heavy(path), f"{path} imports {heavy(path)}"


def test_the_exception_is_imported_on_a_zero_gpu_space_alone() -> None:
    importers = {path.name for path in PAGE if any("zero_gpu" in name.split(".") for name in imports(path))}
    assert importers == {"studio.py"}
    assert not [name for name in imports(ROOT / "ui" / "studio.py", top=True) if "zero_gpu" in name.split(".")]


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_heavy_libraries_are_named_where_they_may_be(path: Path) -> None:
    if is_among(name_of(path), PAGE_MAY_USE):
        assert not heavy(path), "the page's process would come to import it"
    if is_among(name_of(path), WAITS_WITH_TORCH):
        assert not heavy(path, top=True), "it is imported before torch is needed"


def test_torch_stays_out_of_the_page_and_of_the_command_line_until_it_is_needed() -> None:
    light = [f"realfill.{name_of(path)}" for path in LIBRARY if is_among(name_of(path), WAITS_WITH_TORCH)]
    light.remove("realfill.__main__")
    page = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in PAGE]
    code = (
        "import importlib, sys\n"
        f"for name in {light + page!r}: importlib.import_module(name)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_children_that_decode_are_started_without_the_page() -> None:
    """They are started again whenever a picture was too much for one: gradio alone takes seconds and 100 MB."""
    code = "import sys, ui.decoding.operations; print(sorted({'gradio', 'torch', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_touches_no_file_device_or_network() -> None:
    """Every library module, imported under an audit hook that refuses writing and connecting."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
        if path.stem != "__main__"
    ]
    code = f"""
import importlib, os, sys
import cv2, diffusers, kornia, peft, pillow_heif, accelerate, transformers, torch, typer, safetensors.torch
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir", "os.remove", "os.rename"):
        raise RuntimeError(f"{{event}} {{arguments}}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise RuntimeError(f"writes {{arguments[0]}}")
sys.dont_write_bytecode = True
sys.addaudithook(refuse)
for name in {names!r}: importlib.import_module(name)
assert not torch.cuda.is_initialized()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
