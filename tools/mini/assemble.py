"""Put trained parts together: `python -m tools.mini.assemble --vae DIR [--prior DIR] --out assets/mini`.

The autoencoder's latents are centred and scaled to unit deviation by folding the channel statistics into
its 1 x 1 convolutions, so that every stock class works with scaling_factor 1. Weights are stored in fp16, the small
text encoder's in fp32.
"""

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTokenizer

from tools.mini import architecture
from tools.mini.data import read_photos


@torch.no_grad()
def standardise(model: AutoencoderKL, photos: list[Tensor]) -> None:
    """Give the latents of `photos` mean 0 and deviation 1 per channel, leaving reconstructions unchanged."""
    latents = [
        model.encode(photo[None, :, : photo.shape[1] // 8 * 8, : photo.shape[2] // 8 * 8].float() / 127.5 - 1)
        .latent_dist.mode()[0]
        .flatten(1)
        for photo in photos
    ]
    values = torch.cat(latents, 1)
    mean, deviation = values.mean(1), values.std(1)
    assert model.quant_conv is not None and model.post_quant_conv is not None
    quant, post = model.quant_conv, model.post_quant_conv
    channels = len(mean)
    quant.weight[:channels] /= deviation[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) / deviation
    quant.bias[channels:] -= 2 * deviation.log()  # the posterior's log variance, in the new units
    post.bias += (post.weight[:, :, 0, 0] * mean[None]).sum(1)
    post.weight *= deviation[None, :, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, required=True, help="checkpoint folder of tools.mini.autoencoder")
    parser.add_argument(
        "--photos", type=Path, help="photos for the statistics of the latents; without them latents stay as they are"
    )
    parser.add_argument(
        "--prior", type=Path, help="checkpoint folder of tools.mini.prior; without it only the autoencoder"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    if args.prior is None:
        vae = architecture.autoencoder()
        vae.load_state_dict(load_file(args.vae / "average.safetensors"))
        if args.photos is not None:
            standardise(vae.eval(), read_photos(args.photos, torch.device("cpu"))[::25])
        vae.save_pretrained(args.out)
        return

    vae = AutoencoderKL.from_pretrained(args.vae)
    vae.register_to_config(_name_or_path="")  # a path on this machine is nobody else's business
    tokenizer = CLIPTokenizer.from_pretrained(args.prior / "tokenizer")
    weights = load_file(args.prior / "average.safetensors")
    unet, text = architecture.unet(), architecture.text_encoder(len(tokenizer))
    unet.load_state_dict({k.removeprefix("unet."): v for k, v in weights.items() if k.startswith("unet.")})
    text.load_state_dict({k.removeprefix("text."): v for k, v in weights.items() if k.startswith("text.")})
    pipeline = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=architecture.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    # The text encoder stays in float32: transformers loads weights as they are stored, diffusers does not,
    # and a pipeline loaded without a dtype would mix the two.
    pipeline.vae.half()
    pipeline.unet.half()
    pipeline.save_pretrained(args.out, safe_serialization=True)


if __name__ == "__main__":
    main()
