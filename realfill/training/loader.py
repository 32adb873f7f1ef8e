"""What a training step computes on: items, times and noise, each a pure function of (seed, step, index).

Items of a pool are drawn and encoded when they are first needed and stay on the device: `BYTES` a latent cell, 0.16 MB
an item at 512 pixels, 11 MB for a pool of 64. Other items are new every step; where the device computes by itself
(CUDA) threads draw those of the next step while it is busy with this one.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from realfill import seeds
from realfill.config import TrainConfig
from realfill.models.backbone import Backbone
from realfill.models.items import Items, join_items
from realfill.models.pixels import upload
from realfill.training.batches import Batch, ItemPick, TrainingViews, draw_picks, pick_item
from realfill.training.context import SceneContext
from realfill.training.loss import EncodedBatch, encode_batch

BYTES = 40  # of a pool item, a latent cell of four channels: two latents and two planes in float32
_WORKERS = 8


@dataclass(frozen=True, eq=False)
class Step(Items):
    """The items of a step that one process computes, with their diffusion times and noise."""

    items: Batch | EncodedBatch
    t: Tensor  # (B,)
    noise: Tensor  # (B, c, h, w)
    context: tuple[tuple[Tensor, ...], ...]  # what stands beside each item, as `models.backbone.Context`

    def split(self, count: int) -> "list[Step]":
        """The step in pieces of `count` items, the last of what is left."""
        return [self.part(start, min(start + count, len(self))) for start in range(0, len(self), count)]


class Loader:
    """Loads each step's items: from the pool, or drawn anew."""

    def __init__(
        self,
        backbone: Backbone,
        views: TrainingViews,
        config: TrainConfig,
        *,
        seed: int,
        indices: Sequence[int],
        prefetch: bool | None = None,
    ) -> None:
        """`indices`: the items of a batch that this process computes; `prefetch`: draw the next step in threads."""
        self._backbone, self._views, self._config = backbone, views, config
        self._seed, self._indices = seed, indices
        self._pool = Pool(backbone, views, config, seed=seed) if config.pool else None
        self._context = SceneContext(backbone, views)
        prefetch = backbone.device.type == "cuda" if prefetch is None else prefetch
        count = max(1, min(_WORKERS, len(indices), (os.cpu_count() or 2) - 1))
        self._workers = ThreadPoolExecutor(count, thread_name_prefix="loader") if prefetch else None
        self._pending: dict[int, list[Future[_Draw]]] = {}

    def load(self, step: int) -> Step:
        """The items of a step, counted from 0, with their times and noise."""
        if self._workers is None:
            draws = [self._draw(step, index) for index in self._indices]
        else:
            futures = self._pending.pop(step, None) or self._submit(self._workers, step)
            has_next = step + 1 < self._config.steps
            self._pending = {step + 1: self._submit(self._workers, step + 1)} if has_next else {}
            draws = [future.result() for future in futures]
        t, noise = torch.cat([one.t for one in draws]), torch.cat([one.noise for one in draws])
        items: Batch | EncodedBatch
        if self._pool is not None:
            items = self._pool.items([one.pick for one in draws])
        else:
            items = join_items([one.batch for one in draws if one.batch is not None])
        keys = [(self._seed, step, index) for index in self._indices]
        dropout = self._config.context_dropout
        context = [self._context.draw(may, dropout, key) for may, key in zip(items.context, keys, strict=True)]
        return Step(items, t, noise, tuple(context))

    def close(self) -> None:
        """Ends the threads."""
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)

    def _submit(self, workers: ThreadPoolExecutor, step: int) -> "list[Future[_Draw]]":
        return [workers.submit(self._draw, step, index) for index in self._indices]

    def _draw(self, step: int, index: int) -> "_Draw":
        pick = pick_item(self._config, seed=self._seed, step=step, index=index)
        batch = draw_picks(self._views, self._config, [pick]) if self._pool is None else None
        t, noise = draw_noise(self._backbone, self._views, self._config, seed=self._seed, step=step, index=index)
        if self._backbone.device.type != "cuda":
            return _Draw(pick, batch, t, noise)
        # Copied from here, out of pinned memory: the device takes it between two kernels and nobody waits.
        with torch.cuda.device(self._backbone.device):
            send = partial(upload, device=self._backbone.device)
            t, noise = send(t), send(noise)
            batch = None if batch is None else batch.map_tensors(send)
        return _Draw(pick, batch, t, noise)


@dataclass(frozen=True, eq=False)
class _Draw:
    """One item of a step."""

    pick: ItemPick
    batch: Batch | None  # None: it comes from the pool
    t: Tensor  # (1,)
    noise: Tensor  # (1, c, h, w)


class Pool:
    """The items of a pool by number, encoded on the device.

    What an item's latents are, bit by bit, must not depend on what was encoded before: a resumed training
    begins with an empty pool. So an item is encoded with no other.
    """

    def __init__(self, backbone: Backbone, views: TrainingViews, config: TrainConfig, *, seed: int) -> None:
        self._backbone, self._views, self._config, self._seed = backbone, views, config, seed
        self._encoded: dict[int, EncodedBatch] = {}

    def items(self, picks: Sequence[ItemPick]) -> EncodedBatch:
        """The items that were picked, each with the prompt of its pick."""
        encoded = join_items([self._encode_item(pick) for pick in picks])
        return replace(encoded, prompts=tuple(pick.prompt for pick in picks))

    def _encode_item(self, pick: ItemPick) -> EncodedBatch:
        assert pick.number is not None
        if pick.number not in self._encoded:
            batch = draw_picks(self._views, self._config, [pick])
            self._encoded[pick.number] = encode_batch(self._backbone, batch)
        return self._encoded[pick.number]


def draw_noise(
    backbone: Backbone, views: TrainingViews, config: TrainConfig, *, seed: int, step: int, index: int
) -> tuple[Tensor, Tensor]:
    """Time (1,) and noise (1, c, h, w) of one item, from (seed, step, index); drawn on the CPU."""
    generator = torch.Generator().manual_seed(seeds.key(seed, seeds.Stream.NOISE, step, index))
    t = backbone.process.draw_time(generator, config.low_noise)
    return t, torch.randn(1, *backbone.spec.latent_shape(views.height, views.width), generator=generator)
