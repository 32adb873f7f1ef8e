"""The order of modules in docs/design.md: read from the code, and tried in a fresh process."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module imports from its own line and those above. A new module takes its place here and in docs/design.md.
LAYERS = (
    "errors config events seeds words",
    "files locks states memory masks colour formats encoding fit images rootsift epipolar drafts extending overlap "
    "scene scenefiles examples compositing runs hands queue exporting",
    "devices matching geometry backbones lowrank lanes",
    "adapters checkpoints batches objective economy feeding training sampling selection guidance draft warm",
    "session ranking previews convergence pipeline",
    "distributed",
    "options progress",
    "benchmark",
    "check cli __main__ hand drafting",
)
TORCH_FREE = 2  # so many lines
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate", "kornia")
LAYER = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
FILES = sorted((ROOT / "realfill").rglob("*.py"))
PAGE = [ROOT / "app.py", *sorted((ROOT / "ui").rglob("*.py"))]


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


def module(path: Path) -> str:
    """`realfill/backbones/base.py` → `backbones`."""
    return path.relative_to(ROOT / "realfill").with_suffix("").parts[0]


def used(path: Path) -> set[str]:
    """Our own modules that a file imports anywhere, by the names of the layer table."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("realfill.")}


def test_every_module_has_its_line() -> None:
    unknown = {module(path) for path in FILES} - LAYER.keys() - {"__init__"}
    assert not unknown, f"give {unknown} a line in LAYERS and in docs/design.md"


@pytest.mark.parametrize("path", [path for path in FILES if module(path) in LAYER], ids=str)
def test_imports_point_up(path: Path) -> None:
    mine = LAYER[module(path)]
    below = {name for name in used(path) if LAYER.get(name, -1) > mine}
    assert not below, f"{path.name} (line {mine}) imports {below} from further down"


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        graph.setdefault(module(path), set()).update(used(path) - {module(path)})
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_library_knows_no_page() -> None:
    for path in FILES:
        wrong = {name for name in imports(path) if name.split(".")[0] in ("ui", "app", "gradio")}
        assert not wrong, f"{path} imports {wrong}"


def test_the_page_uses_the_torch_free_lines_only() -> None:
    for path in PAGE:
        deep = {name for name in used(path) if LAYER[name] >= TORCH_FREE}
        assert not deep, f"{path} imports {deep}"
        heavy = {name for name in imports(path) if name.split(".")[0] in HEAVY}
        assert not heavy, f"{path} imports {heavy}"


def test_torch_free_lines_name_no_heavy_library() -> None:
    for path in FILES:
        if LAYER.get(module(path), TORCH_FREE) < TORCH_FREE:
            heavy = {name for name in imports(path) if name.split(".")[0] in HEAVY}
            assert not heavy, f"{path} imports {heavy}"


def test_importing_the_command_line_waits_with_torch() -> None:
    for path in FILES:
        waits = module(path) != "benchmark" or path.name in ("__init__.py", "commands.py")
        if waits and LAYER.get(module(path), 0) >= LAYER["options"]:
            heavy = {name for name in imports(path, top=True) if name.split(".")[0] in HEAVY}
            assert not heavy, f"{path} imports {heavy} before it is needed"


def test_torch_stays_out_of_the_torch_free_lines_and_the_page() -> None:
    light = [f"realfill.{module(path)}" for path in FILES if LAYER.get(module(path), TORCH_FREE) < TORCH_FREE]
    page = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in PAGE]
    code = (
        "import importlib, sys\n"
        f"for name in {light + page!r}: importlib.import_module(name)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
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
