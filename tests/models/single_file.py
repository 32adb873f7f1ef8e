"""Stable Diffusion pipelines as single files in the original layout, by the names that diffusers' loaders read.

Source: `diffusers.loaders.single_file_utils` (the way back), CompVis' and Stability's published checkpoints.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_AUTOENCODER = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_out.0": "proj_out",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
}
_OPEN_CLIP = {
    "encoder.layers": "transformer.resblocks",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding": "token_embedding",
    "final_layer_norm": "ln_final",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn": "attn",
}


def original_layout(pipeline: Any) -> State:
    """The state of a pipeline's U-Net, autoencoder and text encoders under the original names.

    A lone text encoder of width 1024 is laid out as OpenCLIP's (Stable Diffusion 2), another one as CLIP's (1.5); of
    two (SDXL) the second is OpenCLIP's.
    """
    text = _text_state(pipeline.text_encoder)
    if second := getattr(pipeline, "text_encoder_2", None):
        words = _prefix("conditioner.embedders.0.transformer.text_model.", text)
        words |= _prefix("conditioner.embedders.1.model.", _open_clip(_text_state(second)))
    elif pipeline.text_encoder.config.hidden_size == 1024:
        words = _prefix("cond_stage_model.model.", _open_clip(text))
    else:
        words = _prefix("cond_stage_model.transformer.text_model.", text)
    unet = _rename(pipeline.unet.state_dict(), lambda name: _unet_name(name, pipeline.unet.config))
    vae = _rename(pipeline.vae.state_dict(), lambda name: _autoencoder_name(name, pipeline.vae.config))
    # its attention was made of 1 × 1 convolutions
    vae = {
        name: value[..., None, None] if "attn_1" in name and value.dim() == 2 else value for name, value in vae.items()
    }
    return {**_prefix("model.diffusion_model.", unet), **_prefix("first_stage_model.", vae), **words}


def _text_state(encoder: Any) -> State:
    return {name.removeprefix("text_model."): value for name, value in encoder.state_dict().items()}


def _rename(state: Mapping[str, Tensor], rename: Callable[[str], str]) -> State:
    return {rename(name): value.contiguous() for name, value in state.items()}


def _prefix(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def _replace(name: str, names: Mapping[str, str]) -> str:
    for ours, theirs in names.items():
        name = re.sub(rf"(^|\.){re.escape(ours)}(?=\.|$)", rf"\g<1>{theirs}", name)
    return name


def _unet_name(name: str, config: Any) -> str:
    found = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    if found is None:
        name = _replace(name, _UNET)
        return _replace(name, _RESNET) if name.startswith("middle_block") and ".1." not in name[:15] else name
    way, block, kind, layer, rest = found.groups()
    first = int(block) * (config.layers_per_block + 1)
    if kind == "downsamplers":
        return f"input_blocks.{1 + first + config.layers_per_block}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        place = 2 if "CrossAttn" in config.up_block_types[int(block)] else 1
        return f"output_blocks.{first + config.layers_per_block}.{place}.{rest}"
    number = first + int(layer) + (way == "down")
    blocks = "input_blocks" if way == "down" else "output_blocks"
    return f"{blocks}.{number}.{0 if kind == 'resnets' else 1}.{_replace(rest, _RESNET) if kind == 'resnets' else rest}"


def _autoencoder_name(name: str, config: Any) -> str:
    last = len(config.block_out_channels) - 1
    name = re.sub(r"up_blocks\.(\d+)", lambda found: f"up.{last - int(found[1])}", name)
    name = re.sub(r"down_blocks\.(\d+)", r"down.\1", name)
    return _replace(re.sub(r"^(\w+\.(?:up|down)\.\d+)\.resnets", r"\1.block", name), _AUTOENCODER)


def _open_clip(state: State) -> State:
    joined: State = {}
    for name, value in state.items():
        found = re.match(r"(.*self_attn\.)q_proj\.(\w+)$", name)
        if found:
            parts = [state[f"{found[1]}{letter}_proj.{found[2]}"] for letter in "qkv"]
            joined[_replace(found[1].rstrip("."), _OPEN_CLIP) + f".in_proj_{found[2]}"] = torch.cat(parts)
        elif name == "text_projection.weight":
            joined["text_projection"] = value.T.contiguous()
        elif not re.search(r"\.[kv]_proj\.", name):
            joined[_replace(name, _OPEN_CLIP)] = value
    return joined
