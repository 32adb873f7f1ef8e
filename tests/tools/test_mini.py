"""The embedded base is what its card says: a stock pipeline, small, and able to do the job."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from realfill.models.backbone import Backbone
from realfill.models.registry import load_backbone
from tools.mini import adversary, checkpoints, pack
from tools.mini.data import Pictures, read_photos
from tools.mini.procedural import dead_leaves

MINI = Path(__file__).resolve().parents[2] / "assets" / "mini"


@pytest.fixture(scope="module")
def mini() -> Backbone:
    return load_backbone("mini", device="cpu")


def test_fits_into_28_megabytes() -> None:
    assert sum(file.stat().st_size for file in MINI.rglob("*") if file.is_file()) <= 28e6


def test_spec(mini: Backbone) -> None:
    assert (mini.spec.size, mini.spec.cell, mini.spec.latent_channels) == (256, 4, 4)
    assert mini.process.prediction_type == "v_prediction"
    assert 64 % mini.spec.multiple == 0


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++"])
@pytest.mark.parametrize("steps", [10, 20, 200])
def test_every_sampler_starts_at_the_end_of_the_schedule(mini: Backbone, sampler: str, steps: int) -> None:
    solver = mini.process.solver(sampler, steps)  # type: ignore[arg-type]
    assert int(solver.timesteps[0]) == 999


def test_stock_pipeline_runs() -> None:
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(MINI, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    picture = Image.new("RGB", (128, 64), (120, 80, 40))
    output = pipeline(
        "a photo of sks",
        image=picture,
        mask_image=Image.new("L", picture.size, 255),
        height=64,
        width=128,
        num_inference_steps=2,
        guidance_scale=1.0,
    ).images[0]
    assert output.size == picture.size


def test_rare_token_is_one_token(mini: Backbone) -> None:
    tokenizer = StableDiffusionInpaintPipeline.from_pretrained(MINI).tokenizer
    assert len(tokenizer) <= 2000
    assert tokenizer.convert_ids_to_tokens(tokenizer("a photo of sks").input_ids)[1:-1] == [
        "a</w>",
        "photo</w>",
        "of</w>",
        "sks</w>",
    ]


def test_autoencoder_keeps_held_out_photos(mini: Backbone, shared: Path) -> None:
    """The card's number, on a third of the photos: at least 28 dB at 256 px over all 24."""
    from tools.mini.autoencoder import fidelity

    photos = read_photos(shared / "photos" / "heldout", torch.device("cpu"))[::3]
    assert fidelity(mini.vae, photos)[0] > 27  # type: ignore[attr-defined]


def test_latents_are_standardised(mini: Backbone, shared: Path) -> None:

    photos = read_photos(shared / "photos" / "heldout", torch.device("cpu"))[::4]
    latents = torch.cat([mini.encode(photo[None, :, :256, :256].float() / 127.5 - 1) for photo in photos])
    assert latents.mean((0, 2, 3)).abs().max() < 0.5
    assert ((latents.std((0, 2, 3)) > 0.4) & (latents.std((0, 2, 3)) < 1.6)).all()


def test_procedural_pictures_are_reproducible_and_varied() -> None:
    first, again = (dead_leaves(2, 64, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (2, 3, 64, 64)
    assert first.abs().max() <= 1
    assert first.std((2, 3)).min() > 0.05
    assert not torch.equal(first[0], first[1])


def test_a_pack_holds_every_photo_within_its_size(tmp_path: Path) -> None:
    folder, packed = tmp_path / "photos", tmp_path / "photos.zip"
    folder.mkdir()
    drawn = ((dead_leaves(8, 144, torch.Generator().manual_seed(1)) + 1) * 127.5).byte()
    for number, photo in enumerate(drawn):
        Image.fromarray(photo.permute(1, 2, 0).numpy()).resize((400, 300)).save(folder / f"{number}.jpg", quality=95)
    count, quality = pack.pack([folder], packed, size=200, most=60_000)
    photos = read_photos(packed, torch.device("cpu"))
    assert (count, [photo.shape for photo in photos]) == (8, [(3, 200, 267)] * 8)
    assert packed.stat().st_size <= 60_000
    assert quality > pack.QUALITIES[0]
    originals = read_photos(folder, torch.device("cpu"))
    near = torch.nn.functional.interpolate(originals[3][None].float(), (200, 267), mode="area")[0]
    assert (photos[3].float() - near).abs().mean() < 12


def test_training_pictures_and_holes() -> None:
    photos = [torch.randint(0, 255, (3, 180, 200), dtype=torch.uint8) for _ in range(3)]
    cpu = torch.device("cpu")
    pictures = Pictures(photos, seed=1, device=cpu, procedural=0.5, reservoir=16, side=48)
    batch, prompts = pictures.batch(24, 32)
    assert batch.shape == (24, 3, 32, 32)
    assert batch.abs().max() <= 1.0 + 1e-5
    assert len(set(prompts)) == 2
    renders = [torch.full((3, 170, 170), 255, dtype=torch.uint8)]
    mixed = Pictures(photos, seed=1, device=cpu, procedural=0.0, renders=renders, rendered=0.3, reservoir=16, side=48)
    white = (mixed.batch(200, 8)[0] > 0.99).all(dim=1).all(dim=1).all(dim=1)
    assert 0.2 < white.float().mean() < 0.4
    shares = pictures.holes(200, 32).mean((1, 2, 3))
    assert shares.min() > 0
    assert (shares == 1).any()  # everything hidden is among them


def test_the_adversary_learns_and_asks_for_its_share() -> None:
    torch.manual_seed(0)
    judge = adversary.Adversary(0.5, 1e-3, torch.device("cpu"))
    real = torch.rand(2, 3, 32, 32) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(real, 5, 1, 2).requires_grad_()
    lengths = []
    for _ in range(30):
        loss = (blurred - real).square().mean()
        asked = judge.step(loss, blurred, real)
        wanted, own = (torch.autograd.grad(part, blurred, retain_graph=True)[0].norm() for part in (loss, asked))
        lengths.append(float(own / wanted))
    # Its share grows over 500 steps, so that it knows something before it is heard.
    assert lengths == pytest.approx([0.5 * step / 500 for step in range(1, 31)], rel=0.05)
    with torch.no_grad():
        assert judge.believes(real) > 0.3 > -0.3 > judge.believes(blurred)


def test_pretraining_state_survives(tmp_path: Path) -> None:
    tensors = {"model": {"weight": torch.arange(4.0)}}
    assert checkpoints.load(tmp_path) is None
    checkpoints.save(tmp_path, tensors, {"step": 3})
    found = checkpoints.load(tmp_path)
    assert found is not None
    assert torch.equal(found[0]["model"]["weight"], tensors["model"]["weight"])
    assert found[1]["step"] == 3
