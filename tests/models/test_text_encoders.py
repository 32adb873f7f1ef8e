"""Text encoders that are loaded for a run's prompts alone."""

import shutil
from pathlib import Path

import pytest
import torch

from realfill.models import pipelines, text_encoders
from realfill.models.base_folder import hash_parts
from realfill.models.flow_transformer import FlowTransformer
from realfill.models.registry import load_backbone
from tests.tiny import make_klein_base


@pytest.fixture(scope="module")
def distilled(tiny_bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another transformer with the text encoder of the tiny klein."""
    folder = make_klein_base(tmp_path_factory.mktemp("distilled") / "klein", is_distilled=True, seed=99)
    shutil.rmtree(folder / "text_encoder")
    shutil.copytree(tiny_bases["klein"] / "text_encoder", folder / "text_encoder")
    return folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose text encoders were loaded, in a process that knows no prompt yet."""
    loaded: list[Path] = []
    load = pipelines.load_pipeline

    def count(pipeline_class: object, folder: Path, **options: object) -> object:
        loaded.append(folder)
        return load(pipeline_class, folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(text_encoders, "load_pipeline", count)
    monkeypatch.setattr(text_encoders, "_KNOWN", {})
    return loaded


def flow_transformer(folder: Path) -> FlowTransformer:
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    assert isinstance(backbone, FlowTransformer)
    return backbone


@pytest.mark.parametrize("family", ["klein", "flux-fill"])
def test_nothing_of_them_is_loaded_before_a_prompt_is_asked_for(
    family: str, tiny_bases: dict[str, Path], loads: list[Path]
) -> None:
    backbone = flow_transformer(tiny_bases[family])
    assert not loads
    first = backbone.embed_prompt("a photo of sks")
    backbone.embed_prompt("")
    again = backbone.embed_prompt("a photo of sks")
    assert len(loads) == 1  # both prompts at once
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_a_base_with_the_same_ones_loads_none(tiny_bases: dict[str, Path], distilled: Path, loads: list[Path]) -> None:
    base, other = flow_transformer(tiny_bases["klein"]), flow_transformer(distilled)
    said = base.embed_prompt("a photo of sks")
    assert all(torch.equal(one, same) for one, same in zip(said, other.embed_prompt("a photo of sks"), strict=True))
    assert loads == [tiny_bases["klein"]]


def test_other_ones_are_not_taken_for_them(tiny_bases: dict[str, Path], tmp_path: Path, loads: list[Path]) -> None:
    changed = Path(shutil.copytree(tiny_bases["klein"], tmp_path / "klein"))
    words = changed / "tokenizer" / "tokenizer.json"
    words.write_text(words.read_text() + "\n")
    parts = ["text_encoder", "tokenizer"]
    assert hash_parts(changed, parts) != hash_parts(tiny_bases["klein"], parts)
    flow_transformer(tiny_bases["klein"]).embed_prompt("a photo of sks")
    flow_transformer(changed).embed_prompt("a photo of sks")
    assert len(loads) == 2
