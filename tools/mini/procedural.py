"""Procedural pictures made on the device: dead leaves with textures, shading, strokes and perspective.

A well-chosen noise process is a good stand-in for photographs: occlusion gives sharp edges at every
scale, power-law noise gives textures with natural spectra, gradients give shading. Everything is
batched torch code, so that a GPU draws thousands a second.
"""

import torch
from torch import Tensor


def _uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator, device=generator.device)


def power_law_noise(count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, 1, size, size) noise with spectra 1/f^a, a in [0.6, 2.4], mean 0, deviation 1."""
    device = generator.device
    fy = torch.fft.fftfreq(size, device=device)[:, None]
    fx = torch.fft.rfftfreq(size, device=device)[None]
    stretch = torch.exp(_uniform(generator, count, 2, low=-0.8, high=0.8))[:, :, None, None]
    radius = torch.sqrt((fy * stretch[:, 0]) ** 2 + (fx * stretch[:, 1]) ** 2).clamp_min(1.0 / size)
    exponent = _uniform(generator, count, 1, 1, low=0.6, high=2.4)
    white = torch.randn(count, size, size, generator=generator, device=device)
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * radius**-exponent, s=(size, size))
    noise = noise - noise.mean((1, 2), keepdim=True)
    scaled: Tensor = noise / noise.std((1, 2), keepdim=True).clamp_min(1e-6)
    return scaled[:, None]


def patterns(count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, 1, size, size) stripes, checks, tiles and dots seen in perspective, roughly in [-1.5, 1.5]."""
    device = generator.device
    axis = torch.linspace(-1, 1, size, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = _uniform(generator, count, 1, 1, high=2 * torch.pi)
    tilt = _uniform(generator, count, 2, 1, 1, low=-0.45, high=0.45)
    depth = (1 + tilt[:, 0] * x + tilt[:, 1] * y).clamp_min(0.2)
    u = (x * angle.cos() + y * angle.sin()) / depth
    v = (y * angle.cos() - x * angle.sin()) / depth
    frequency = torch.exp(_uniform(generator, count, 2, 1, 1, low=0.7, high=3.6))
    wave_u = torch.sin(frequency[:, 0] * u * torch.pi)
    wave_v = torch.sin(frequency[:, 1] * v * torch.pi)
    sharp = torch.exp(_uniform(generator, count, 1, 1, low=0.0, high=3.0))
    stripes = torch.tanh(sharp * wave_u)
    checks = torch.tanh(sharp * wave_u * wave_v * 2)
    dots = torch.tanh(sharp * (wave_u + wave_v - 0.6))
    tiles = torch.tanh(sharp * (torch.minimum(wave_u.abs(), wave_v.abs()) * 4 - 0.8))
    kind = torch.randint(0, 4, (count, 1, 1), generator=generator, device=device)
    chosen = torch.where(kind == 0, stripes, torch.where(kind == 1, checks, torch.where(kind == 2, dots, tiles)))
    return chosen[:, None]


def _shape_mask(count: int, size: int, radius: Tensor, generator: torch.Generator) -> Tensor:
    """(count, 1, size, size) soft masks of rotated superellipses: discs, boxes, bars, blobs, strokes."""
    device = generator.device
    axis = torch.linspace(-1, 1, size, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    centre = _uniform(generator, count, 2, 1, 1, low=-1.1, high=1.1)
    angle = _uniform(generator, count, 1, 1, high=2 * torch.pi)
    aspect = torch.exp(_uniform(generator, count, 1, 1, low=-1.2, high=1.2))
    dx, dy = x - centre[:, 0], y - centre[:, 1]
    bend = _uniform(generator, count, 1, 1, low=-1.5, high=1.5)
    u = dx * angle.cos() + dy * angle.sin()
    v = dy * angle.cos() - dx * angle.sin() + bend * u**2
    power = torch.where(_uniform(generator, count, 1, 1) < 0.5, 2.0, 8.0)
    r = radius[:, None, None]
    norm = (((u / (r * aspect)).abs() ** power + (v * aspect / r).abs() ** power).clamp_min(1e-9)) ** (1 / power)
    softness = torch.exp(_uniform(generator, count, 1, 1, low=0.0, high=2.2)) * 1.2 / size
    return torch.sigmoid((1 - norm) * r / softness)[:, None]


def dead_leaves(count: int, size: int, generator: torch.Generator, *, leaves: int = 36) -> Tensor:
    """(count, 3, size, size) pictures in [-1, 1].

    Shapes are laid over one another from large to small radii with a 1/r^2-like law, each with its own
    colour, texture and shading; a last pass adds a light gradient over the whole picture.
    """
    device = generator.device
    textures = torch.cat([power_law_noise(24, size, generator), patterns(24, size, generator)])

    def layer(amplitude: float) -> Tensor:
        colour = _uniform(generator, count, 3, 1, 1, low=-0.9, high=0.9)
        grey = colour.mean(1, keepdim=True)
        colour = grey + (colour - grey) * _uniform(generator, count, 1, 1, 1)  # most things are dull
        tint = _uniform(generator, count, 3, 1, 1, low=-1, high=1) * 0.4 + 1
        index = torch.randint(0, len(textures), (count,), generator=generator, device=device)
        strength = amplitude * _uniform(generator, count, 1, 1, 1) ** 2
        axis = torch.linspace(-1, 1, size, device=device)
        slope = _uniform(generator, count, 2, 1, 1, low=-0.35, high=0.35)
        shade = slope[:, :1] * axis[None, None, :, None] + slope[:, 1:] * axis[None, None, None, :]
        return colour + strength * tint * textures[index] + shade

    picture = layer(0.35)
    for i in range(leaves):
        largest = 0.9 * (1 - i / leaves) ** 1.5 + 0.06
        radius = largest * torch.exp(_uniform(generator, count, low=-1.2, high=0.0))
        mask = _shape_mask(count, size, radius, generator)
        shown = (_uniform(generator, count, 1, 1, 1) < 0.85).float()
        picture = picture + mask * shown * (layer(0.4) - picture)
    gain = torch.exp(_uniform(generator, count, 1, 1, 1, low=-0.25, high=0.15))
    return (picture * gain).clamp(-1, 1)
