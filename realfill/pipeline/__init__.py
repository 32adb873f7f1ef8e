"""The whole method: scene → crop → backbone → train → sample → select → export.

from realfill.pipeline import complete
"""

from realfill.pipeline.stages import Outcome, complete

__all__ = ["Outcome", "complete"]
