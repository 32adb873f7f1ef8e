"""Pieces of the report's HTML. Whatever came from a file's name or content is escaped here."""

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from realfill.evaluation.metrics.registry import COLUMNS
from realfill.evaluation.results import format_number


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the head is text, the cells are markup."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def cell(value: float | None, column: str, top: float | None = None) -> str:
    """A metric's value as a cell; in bold where it is the best of its column."""
    marked = ' class="best"' if top is not None and value == top else ""
    return f"<td{marked}>{format_number(value, column)}</td>"


def text_cells(*texts: str) -> list[str]:
    """Cells of text."""
    return [f"<td>{escape(text)}</td>" for text in texts]


def title(column: str) -> str:
    """A column's title with the way that is better."""
    return COLUMNS[column].heading


def best_value(column: str, values: Sequence[float | None]) -> float | None:
    """The best of a column's values, if there is any."""
    return max((value for value in values if value is not None), key=COLUMNS[column].merit, default=None)


def rho(value: float | None) -> str:
    """A correlation with its sign."""
    return "–" if value is None else f"{value:+.2f}"


def figure(path: str, caption: str) -> str:
    """A picture with its caption; the path is relative to the page."""
    text, source = escape(caption), escape(quote(path))
    return f'<figure><img src="{source}" alt="{text}" loading="lazy"><figcaption>{text}</figcaption></figure>'
