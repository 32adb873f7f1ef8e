"""What training sees of the draft: references warped into the target's frame."""

from realfill.geometry.draft import VOUCHED, Draft, render_draft, render_warped
from realfill.imaging.crop import CropTransform
from realfill.scene.scene import Scene
from realfill.training.batches import DraftView


def draft_views(draft: Draft | None, scene: Scene, crop: CropTransform) -> list[DraftView]:
    """Pictures in the target's frame for training: the draft, then each warped reference.

    What a reference does not show, and what nothing vouches for, is unknown there: hidden, without loss.
    """
    if draft is None or draft.reason:
        return []
    finest = min(2.0, draft.frame.scale / crop.scale)
    size = max(1.0, finest)
    frame = CropTransform(
        crop.box, round(crop.width * size), round(crop.height * size), crop.photo_width, crop.photo_height
    )
    hole = frame.crop_hole(scene.hole)
    pictures = [render_draft(draft, frame), *(render_warped(draft, one, frame) for one in draft.warped)]
    return [
        DraftView(photo, valid < VOUCHED, hole) for photo, valid in pictures if (valid[hole] >= VOUCHED).mean() > 0.02
    ]
