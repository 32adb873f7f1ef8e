"""Blender materials for the example scenes: colours and drawn pictures with wear, bumps and roughness."""

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from tools.scenes.paint import Array, hexa

Material = Any  # bpy has no types


@dataclass(frozen=True)
class Surface:
    """How light meets a material."""

    rough: float = 0.5
    metal: float = 0.0
    bump: float = 0.15  # strength of the fine relief
    grain: float = 60.0  # of the fine relief, cycles per metre
    worn: float = 0.25  # how much roughness and tone vary
    coat: float = 0.0
    relief: float = 0.0  # strength of a height picture's relief
    shine_through: float = 0.0  # share of light that passes (leaves, cloth)


def linear(colour: str) -> tuple[float, float, float, float]:
    """ "#rrggbb" (sRGB) → linear RGBA."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in hexa(colour))
    return red, green, blue, 1.0


def image(name: str, picture: Array, *, data: bool = False) -> Any:
    """A Blender image of float32 (H, W, 3) or (H, W), sRGB 0..1; `data`: numbers, not colours."""
    colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    height, width = colour.shape[:2]
    made = bpy.data.images.new(name, width, height)
    if data:
        made.colorspace_settings.name = "Non-Color"
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = np.clip(colour, 0, 1)[::-1]
    made.pixels.foreach_set(pixels.ravel())
    made.pack()
    return made


class Nodes:
    """A short hand for node trees."""

    def __init__(self, name: str) -> None:
        self.material: Material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.output = self.tree.nodes["Material Output"]

    def add(self, kind: str, **values: Any) -> Any:
        """A node; values are its attributes (lower case) or the inputs of that name (_ for a space)."""
        node = self.tree.nodes.new(kind)
        for name, value in values.items():
            if name[0].isupper():
                node.inputs[name.replace("_", " ")].default_value = value
            else:
                setattr(node, name, value)
        return node

    def link(self, out: Any, into: Any) -> None:
        """Connects two sockets."""
        self.tree.links.new(out, into)


def _finish(nodes: Nodes, colour: Any, surface: Surface, height: Any = None) -> Material:
    """Principled shader on `colour` (a socket), with varying tone and roughness and the relief."""
    place = nodes.add("ShaderNodeTexCoord")
    coarse = nodes.add("ShaderNodeTexNoise", Scale=7.0, Detail=4.0)
    fine = nodes.add("ShaderNodeTexNoise", Scale=surface.grain, Detail=3.0)
    for node in (coarse, fine):
        nodes.link(place.outputs["Object"], node.inputs["Vector"])
    tone = nodes.add("ShaderNodeMapRange", To_Min=1 - 0.5 * surface.worn, To_Max=1 + 0.35 * surface.worn)
    tone.inputs["From Min"].default_value, tone.inputs["From Max"].default_value = 0.3, 0.7
    nodes.link(coarse.outputs["Fac"], tone.inputs["Value"])
    mixed = nodes.add("ShaderNodeVectorMath", operation="SCALE")
    nodes.link(colour, mixed.inputs[0])
    nodes.link(tone.outputs["Result"], mixed.inputs["Scale"])
    nodes.link(mixed.outputs["Vector"], nodes.shader.inputs["Base Color"])
    rough = nodes.add(
        "ShaderNodeMapRange",
        To_Min=max(0.03, surface.rough * (1 - surface.worn)),
        To_Max=min(1.0, surface.rough * (1 + surface.worn)),
    )
    nodes.link(coarse.outputs["Fac"], rough.inputs["Value"])
    nodes.link(rough.outputs["Result"], nodes.shader.inputs["Roughness"])
    nodes.shader.inputs["Metallic"].default_value = surface.metal
    nodes.shader.inputs["Coat Weight"].default_value = surface.coat
    bump = nodes.add("ShaderNodeBump", Strength=surface.bump, Distance=0.002)
    nodes.link(fine.outputs["Fac"], bump.inputs["Height"])
    if height is not None:
        relief = nodes.add("ShaderNodeBump", Strength=surface.relief, Distance=0.012)
        nodes.link(height, relief.inputs["Height"])
        nodes.link(relief.outputs["Normal"], bump.inputs["Normal"])
    nodes.link(bump.outputs["Normal"], nodes.shader.inputs["Normal"])
    if surface.shine_through:
        through = nodes.add("ShaderNodeBsdfTranslucent")
        nodes.link(mixed.outputs["Vector"], through.inputs["Color"])
        both = nodes.add("ShaderNodeMixShader", Fac=surface.shine_through)
        nodes.link(nodes.shader.outputs["BSDF"], both.inputs[1])
        nodes.link(through.outputs["BSDF"], both.inputs[2])
        nodes.link(both.outputs["Shader"], nodes.output.inputs["Surface"])
    return nodes.material


def plain(colour: str, surface: Surface | None = None, *, second: str | None = None) -> Material:
    """One colour; with `second`, patches of another, and a tone of its own for every object."""
    nodes = Nodes(f"plain {colour}")
    base = nodes.add("ShaderNodeRGB")
    base.outputs[0].default_value = linear(colour)
    socket = base.outputs[0]
    if second is not None:
        place = nodes.add("ShaderNodeTexCoord")
        random = nodes.add("ShaderNodeObjectInfo")
        shifted = nodes.add("ShaderNodeVectorMath", operation="ADD")
        nodes.link(place.outputs["Object"], shifted.inputs[0])
        nodes.link(random.outputs["Random"], shifted.inputs[1])
        spots = nodes.add("ShaderNodeTexNoise", Scale=14.0, Detail=3.0)
        nodes.link(shifted.outputs["Vector"], spots.inputs["Vector"])
        share = nodes.add("ShaderNodeMapRange")
        share.inputs["From Min"].default_value, share.inputs["From Max"].default_value = 0.4, 0.62
        nodes.link(spots.outputs["Fac"], share.inputs["Value"])
        mix = nodes.add("ShaderNodeMix", data_type="RGBA")
        nodes.link(share.outputs["Result"], mix.inputs["Factor"])
        nodes.link(socket, mix.inputs[6])
        mix.inputs[7].default_value = linear(second)
        socket = mix.outputs[2]
    return _finish(nodes, socket, surface or Surface())


def picture(
    name: str, colour: Array, surface: Surface | None = None, *, height: Array | None = None, metres: float = 0.0
) -> Material:
    """A drawn picture on the surface's own UV, or, with `metres`, repeated every so many metres from all sides."""
    surface = surface or Surface(rough=0.6, bump=0.05)
    nodes = Nodes(name)
    place = nodes.add("ShaderNodeTexCoord")
    source = place.outputs["UV"]
    if metres:
        scale = nodes.add("ShaderNodeMapping")
        scale.inputs["Scale"].default_value = (1 / metres,) * 3
        nodes.link(place.outputs["Object"], scale.inputs["Vector"])
        source = scale.outputs["Vector"]

    def texture(values: Array, *, data: bool) -> Any:
        node = nodes.add("ShaderNodeTexImage", image=image(name, values, data=data))
        if metres:
            node.projection, node.projection_blend = "BOX", 0.1
        nodes.link(source, node.inputs["Vector"])
        return node.outputs["Color"]

    relief = None if height is None else texture(height, data=True)
    return _finish(nodes, texture(colour, data=False), surface, relief)


def glass(tint: str = "#eef4f2", strength: float = 0.12) -> Material:
    """Thin glass: a reflection over what lies behind it; no refraction, so it is quick."""
    nodes = Nodes("glass")
    clear = nodes.add("ShaderNodeBsdfTransparent")
    clear.inputs["Color"].default_value = linear(tint)
    gloss = nodes.add("ShaderNodeBsdfGlossy", Roughness=0.04)
    edge = nodes.add("ShaderNodeLayerWeight", Blend=strength)
    mix = nodes.add("ShaderNodeMixShader")
    nodes.link(edge.outputs["Fresnel"], mix.inputs["Fac"])
    nodes.link(clear.outputs["BSDF"], mix.inputs[1])
    nodes.link(gloss.outputs["BSDF"], mix.inputs[2])
    nodes.link(mix.outputs["Shader"], nodes.output.inputs["Surface"])
    return nodes.material


def glow(colour: str | Array, strength: float) -> Material:
    """A surface that shines: a lamp, or a picture of what is outside the window."""
    nodes = Nodes("glow")
    shine = nodes.add("ShaderNodeEmission", Strength=strength)
    if isinstance(colour, str):
        shine.inputs["Color"].default_value = linear(colour)
    else:
        node = nodes.add("ShaderNodeTexImage", image=image("view", colour))
        nodes.link(node.outputs["Color"], shine.inputs["Color"])
    nodes.link(shine.outputs["Emission"], nodes.output.inputs["Surface"])
    return nodes.material
