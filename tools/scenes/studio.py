"""Light, camera and rendering for the example scenes (Cycles on one CPU thread)."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from tools.scenes.kit import Point
from tools.scenes.materials import linear


@dataclass(frozen=True)
class Camera:
    """Where a photo is taken from. `lens` in mm on a 36 mm wide sensor; `stop` 0: everything is sharp."""

    eye: Point
    aim: Point
    lens: float = 35.0
    stop: float = 0.0
    focus: Point | None = None  # what is sharp; the aim if not given
    roll: float = 0.0  # degrees
    exposure: float = 0.0  # stops


@dataclass(frozen=True)
class Quality:
    """How a picture is rendered."""

    width: int = 640
    height: int = 480
    samples: int = 24
    threshold: float = 0.05


def clear() -> None:
    """An empty Blender file with the colour management of a photo."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"


def sky(top: str, horizon: str, strength: float) -> None:
    """Light from all around: a gradient from the horizon up, ground colour below."""
    world = bpy.data.worlds.get("sky") or bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 64  # a smooth sky needs no more
    tree = world.node_tree
    tree.nodes.clear()
    output, ground = tree.nodes.new("ShaderNodeOutputWorld"), tree.nodes.new("ShaderNodeBackground")
    place, split = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeSeparateXYZ")
    colours = tree.nodes.new("ShaderNodeValToRGB")
    stops = colours.color_ramp.elements
    stops[0].position, stops[0].color = 0.0, linear(horizon)
    stops[1].position, stops[1].color = 0.6, linear(top)
    tree.links.new(place.outputs["Generated"], split.inputs["Vector"])
    tree.links.new(split.outputs["Z"], colours.inputs["Fac"])
    tree.links.new(colours.outputs["Color"], ground.inputs["Color"])
    ground.inputs["Strength"].default_value = strength
    tree.links.new(ground.outputs["Background"], output.inputs["Surface"])


def lamp(name: str, kind: str, at: Point, aim: Point, power: float, size: float, colour: str = "#ffffff") -> Any:
    """A light of `kind` AREA (watts, metres), SUN (W/m², degrees) or POINT that looks at `aim`."""
    old = bpy.data.objects.get(name)
    if old is not None:
        bpy.data.objects.remove(old)
    data = bpy.data.lights.new(name, kind)
    data.energy, data.color = power, linear(colour)[:3]
    if kind == "AREA":
        data.size = size
    elif kind == "SUN":
        data.angle = math.radians(size)
    else:
        data.shadow_soft_size = size
    made = bpy.data.objects.new(name, data)
    made.location = at
    made.rotation_euler = (Vector(aim) - Vector(at)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(made)
    return made


def shoot(camera: Camera, quality: Quality, path: Path) -> None:
    """Takes a photo into a PNG file."""
    scene = bpy.context.scene
    data = bpy.data.cameras.get("camera") or bpy.data.cameras.new("camera")
    body = bpy.data.objects.get("camera") or bpy.data.objects.new("camera", data)
    if body.name not in scene.collection.objects:
        scene.collection.objects.link(body)
    scene.camera = body
    way = Vector(camera.aim) - Vector(camera.eye)
    body.location = camera.eye
    body.rotation_euler = way.to_track_quat("-Z", "Y").to_euler()
    body.rotation_euler.rotate_axis("Z", math.radians(camera.roll))
    data.lens, data.sensor_width, data.clip_start = camera.lens, 36.0, 0.02
    data.dof.use_dof = camera.stop > 0
    if camera.stop > 0:
        data.dof.aperture_fstop = camera.stop
        data.dof.focus_distance = (Vector(camera.focus or camera.aim) - Vector(camera.eye)).dot(way.normalized())
    scene.view_settings.exposure = camera.exposure
    _settings(scene, quality)
    temporary = path.with_suffix(".part.png")
    scene.render.filepath = str(temporary)
    with _silent():
        bpy.ops.render.render(write_still=True)
    temporary.rename(path)


@contextmanager
def _silent() -> Iterator[None]:
    """Blender tells every step on file descriptor 1; a picture's name and time are enough."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _settings(scene: Any, quality: Quality) -> None:
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = quality.width, quality.height, 100
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    render.image_settings.compression = 15
    render.threads_mode, render.threads = "FIXED", 1
    render.use_persistent_data = True
    cycles.device = "CPU"
    cycles.samples, cycles.adaptive_threshold, cycles.use_adaptive_sampling = quality.samples, quality.threshold, True
    cycles.adaptive_min_samples = min(8, quality.samples)
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "ACCURATE" if quality.samples >= 16 else "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 3, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 3, 8
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4.0
    cycles.use_light_tree = True
    cycles.seed = 7
