"""Stock pipelines from folders: safetensors only, nothing from the network, and a sentence where it cannot be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from realfill.bases import download_command
from realfill.errors import WeightsError
from realfill.models import backbone
from realfill.models.base_folder import find_variant


def load_pipeline(
    pipeline_class: Any,
    folder: Path,
    *,
    name: str,
    device: str,
    dtype: torch.dtype,
    resting: Sequence[str] = (),
    **parts: Any,
) -> Any:
    """A pipeline on its device.

    Args:
        resting: parts that stay in the computer's memory.
        parts: parts that are to be others than the folder's, None for those left out.

    Raises:
        WeightsError: the folder is incomplete, damaged or another kind of model.
    """
    try:
        # Every part is named: transformers 5 would read text encoder weights as stored, fp16 on a CPU.
        pipeline = pipeline_class.from_pretrained(
            folder,
            dtype=backbone.stored_dtype(device, dtype),
            variant=find_variant(folder),
            use_safetensors=True,
            local_files_only=True,
            **parts,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            "Base '{name}' could not be loaded from {folder}: {first_line}",
            name=name,
            folder=folder,
            first_line=first_line(error),
        ) from error
    for part, module in pipeline.components.items():
        if isinstance(module, nn.Module):
            module.to("cpu" if part in resting else device, backbone.stored_dtype(device, dtype))
    return pipeline


def load_single_file(
    pipeline_class: Any, file: Path, source: str, *, device: str, dtype: torch.dtype, **parts: Any
) -> Any:
    """A pipeline on its device from one .safetensors file in its maker's layout.

    Args:
        source: hub id or folder whose configs fit the file; from the hub's cache where they are there.
        parts: as `load_pipeline`.

    Raises:
        WeightsError: it is damaged, another kind of model, or the configs cannot be had.
    """
    stored = backbone.stored_dtype(device, dtype)
    try:
        pipeline = pipeline_class.from_single_file(str(file), config=source, torch_dtype=stored, **parts)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise WeightsError(
            "{name} could not be loaded as an inpainting checkpoint: {first_line} Its configs are "
            "those of {source}; without network, give that model's folder ({download_command}) "
            "instead.",
            name=file.name,
            first_line=first_line(error),
            source=source,
            download_command=download_command(source),
        ) from error
    return pipeline.to(device, stored)


def first_line(error: Exception) -> str:
    """What an error says, in one sentence."""
    text = str(error).strip().splitlines()
    return (text[0][:300].rstrip(".") if text else type(error).__name__) + "."
