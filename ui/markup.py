"""Text becomes HTML here and nowhere else: what is filled into a template is escaped, whoever wrote it.

Names, settings, notices and labels may come from somebody else's project. A component that shows HTML gets `Markup`,
which is a str that is HTML already; any other str in a template is text.
"""

from collections.abc import Iterable

from markupsafe import Markup, escape

EMPTY = Markup()


def markup(template: str, **values: object) -> Markup:
    """The HTML of a template of ours, with each `{name}` replaced by that value: Markup as it is, all else as text."""
    return Markup(template).format(**values)


def join_markup(parts: Iterable[Markup]) -> Markup:
    """Pieces of HTML one after another."""
    return EMPTY.join(parts)


def as_text(sentence: object) -> Markup:
    """The HTML that shows a sentence; what is Markup stays as it is."""
    return escape(sentence)
