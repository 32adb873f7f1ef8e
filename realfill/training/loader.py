"""What a training step computes on: items, times and noise, each a pure function of (seed, step, index).

Items of a pool are drawn and encoded when they are first needed and stay on the device: `BYTES` a latent cell, 0.16 MB
an item at 512 pixels, 11 MB for a pool of 64. Other items are new every step; where the device computes by itself
(CUDA) threads draw those of the next step while it is busy with this one.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from realfill import seeds
from realfill.config import TrainConfig
from realfill.models.backbone import Backbone, blank_hole
from realfill.training.batches import Batch, ItemPick, TrainingViews, draw_picks, join_batches, pick_item
from realfill.training.loss import EncodedBatch, known_latents

BYTES = 40  # of a pool item, a latent cell of four channels: two latents and two planes in float32
_WORKERS = 8


@dataclass(frozen=True, eq=False)
class Step:
    """The items of a step that one process computes."""

    items: Batch | EncodedBatch
    t: Tensor  # (B,) int64
    noise: Tensor  # (B, c, h, w)

    def part(self, start: int, stop: int) -> "Step":
        """Items start to stop, for computing a step in pieces."""
        return Step(self.items.part(start, stop), self.t[start:stop], self.noise[start:stop])


class Loader:
    """Gives each step its work."""

    def __init__(
        self,
        backbone: Backbone,
        views: TrainingViews,
        config: TrainConfig,
        *,
        seed: int,
        indices: Sequence[int],
        ahead: bool | None = None,
    ) -> None:
        """`indices`: the items of a batch that this process computes; `ahead`: draw the next step in threads."""
        self._backbone, self._views, self._config = backbone, views, config
        self._seed, self._indices = seed, indices
        self._pool = Pool(backbone, views, config, seed=seed) if config.pool else None
        ahead = backbone.device.type == "cuda" if ahead is None else ahead
        count = max(1, min(_WORKERS, len(indices), (os.cpu_count() or 2) - 1))
        self._workers = ThreadPoolExecutor(count, thread_name_prefix="feed") if ahead else None
        self._coming: dict[int, list[Future[_Drawn]]] = {}

    def work(self, step: int) -> Step:
        """The work of a step, counted from 0."""
        if self._workers is None:
            drawn = [self._draw(step, index) for index in self._indices]
        else:
            waiting = self._coming.pop(step, None) or self._begin(self._workers, step)
            following = step + 1 < self._config.steps
            self._coming = {step + 1: self._begin(self._workers, step + 1)} if following else {}
            drawn = [future.result() for future in waiting]
        t, noise = torch.cat([one.t for one in drawn]), torch.cat([one.noise for one in drawn])
        if self._pool is not None:
            return Step(self._pool.items([one.pick for one in drawn]), t, noise)
        return Step(join_batches([one.batch for one in drawn if one.batch is not None]), t, noise)

    def close(self) -> None:
        """Ends the threads."""
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)

    def _begin(self, workers: ThreadPoolExecutor, step: int) -> "list[Future[_Drawn]]":
        return [workers.submit(self._draw, step, index) for index in self._indices]

    def _draw(self, step: int, index: int) -> "_Drawn":
        pick = pick_item(self._config, seed=self._seed, step=step, index=index)
        batch = draw_picks(self._views, self._config, [pick]) if self._pool is None else None
        t, noise = draw_noise(self._backbone, self._views, seed=self._seed, step=step, index=index)
        if self._backbone.device.type != "cuda":
            return _Drawn(pick, batch, t, noise)
        # Copied from here, out of pinned memory: the device takes it between two kernels and nobody waits.
        with torch.cuda.device(self._backbone.device):
            t, noise = self._upload(t), self._upload(noise)
            if batch is not None:
                pixels, hole, weight = (self._upload(plane) for plane in (batch.pixels, batch.hole, batch.weight))
                batch = Batch(pixels, hole, weight, batch.prompts, batch.is_target)
        return _Drawn(pick, batch, t, noise)

    def _upload(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(self._backbone.device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One item of a step."""

    pick: ItemPick
    batch: Batch | None  # None: it comes from the pool
    t: Tensor  # (1,)
    noise: Tensor  # (1, c, h, w)


class Pool:
    """The items of a pool by number, encoded on the device.

    What an item's latents are, bit by bit, must not depend on what was encoded before: a resumed training
    begins with an empty pool. So an item's two pictures are encoded together and with no others.
    """

    def __init__(self, backbone: Backbone, views: TrainingViews, config: TrainConfig, *, seed: int) -> None:
        self._backbone, self._views, self._config, self._seed = backbone, views, config, seed
        self._known: dict[int, EncodedBatch] = {}
        self._nothing: Tensor | None = None  # latents of a picture of which nothing is shown

    def items(self, picks: Sequence[ItemPick]) -> EncodedBatch:
        """The items that were picked, each with the prompt of its pick."""
        found = [self._item(pick) for pick in picks]
        return EncodedBatch(
            clean=torch.cat([one.clean for one in found]),
            masked=torch.cat([one.masked for one in found]),
            hole=torch.cat([one.hole for one in found]),
            known=torch.cat([one.known for one in found]),
            prompts=tuple(pick.prompt for pick in picks),
        )

    def _item(self, pick: ItemPick) -> EncodedBatch:
        assert pick.number is not None
        if pick.number not in self._known:
            self._known[pick.number] = self._encode(draw_picks(self._views, self._config, [pick]))
        return self._known[pick.number]

    def _encode(self, batch: Batch) -> EncodedBatch:
        backbone = self._backbone
        if batch.hole.all():  # one in ten hides everything, and then all of them are the same grey
            clean = backbone.encode(batch.pixels)
            if self._nothing is None:
                self._nothing = backbone.encode(torch.zeros_like(batch.pixels))
            masked = self._nothing
        else:
            both = backbone.encode(torch.cat([batch.pixels, blank_hole(batch.pixels, batch.hole)]))
            clean, masked = both[:1], both[1:]
        known = known_latents(batch.weight, cell=backbone.spec.cell).to(backbone.device)
        return EncodedBatch(clean, masked, backbone.latent_hole(batch.hole), known, ("",))


def draw_noise(backbone: Backbone, views: TrainingViews, *, seed: int, step: int, index: int) -> tuple[Tensor, Tensor]:
    """Time (1,) and noise (1, c, h, w) of one item, from (seed, step, index); drawn on the CPU."""
    generator = torch.Generator().manual_seed(seeds.key(seed, seeds.Stream.NOISE, step, index))
    t = torch.randint(backbone.process.train_steps, (1,), generator=generator)
    shape = (1, backbone.spec.latent_channels, views.height // views.cell, views.width // views.cell)
    return t, torch.randn(shape, generator=generator)
