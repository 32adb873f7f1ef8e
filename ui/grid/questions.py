"""What the viewer asks of the server beside its value: other seeds' pictures, a result to take along, a blind pick.

Every argument is whatever a client sent.
"""

from pathlib import Path
from typing import Any

from realfill.errors import OptionError
from realfill.runs.run import Run

from ..access import uploads
from ..errors import Answer, Question, answer_errors, asked_field, asked_text
from ..runs.jobs import Jobs
from ..runs.pictures import SHARP, WIDEST, Export
from ..runs.rendering import copy_result, open_picture
from ..runs.thumbnails import url


def questions(jobs: Jobs) -> list[Question]:
    """The functions that the browser may call, each by its own name."""

    def look_at(asked: Any) -> Answer:
        """The frames of a seed, with `sharp` up to 4096 pixels wide."""
        run = jobs.view(asked_text(asked, "project"))
        longest = SHARP if asked_field(asked, "sharp") is True else uploads.PREVIEW
        return open_picture(run, _seed(run, asked, "seed"), _export(asked), longest)

    def give_result(asked: Any) -> Answer:
        """A seed's picture at the target's own size, as a file to drag or copy out of the page."""
        run = jobs.view(asked_text(asked, "project"))
        path = copy_result(run, _export(asked), _seed(run, asked, "seed"))
        return {"url": url(path), "name": Path(path).name}

    def prefer(asked: Any) -> Answer:
        """Notes which of two seeds is truer; answers all such picks and the seeds that are starred now."""
        run = jobs.open(asked_text(asked, "project"))
        run.labels.prefer(_seed(run, asked, "winner"), _seed(run, asked, "loser"))
        return {"picks": run.labels.picks, "starred": run.labels.starred}

    return [answer_errors(question) for question in (look_at, give_result, prefer)]


def _export(asked: Any) -> Export:
    """How the picture is blended, from what a client sent; what it left out is nothing of that kind."""
    feather = asked_field(asked_field(asked, "export"), "feather")
    width = min(max(feather, 0), WIDEST) if type(feather) is int else 0
    return Export(width, match_colour=asked_field(asked_field(asked, "export"), "match_colour") is True)


def _seed(run: Run, asked: Any, name: str) -> int:
    seed = asked_field(asked, name)
    if type(seed) is not int or seed not in run.seeds_done():
        raise OptionError("There is no picture of that seed here.")
    return seed
