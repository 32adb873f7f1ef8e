"""What the page says, told in the language of the visitor who is being answered.

`translate` takes the English sentence, and for what has no translation that is the answer. A language is a file beside
this one, named by its tag (https://www.rfc-editor.org/rfc/rfc5646): {"language": its own name, "decimal": the sign
before decimals, "sentences": {English: translated}}, with the same `{named}` places in both.
"""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realfill.sentences import Sentence

from ..access import visitors

COOKIE = "realfill-language"  # what a visitor chose on the page; without it the browser's own wish counts
_FOLDER = Path(__file__).parent
_SCRIPT = (_FOLDER / "translate.js").read_text(encoding="utf-8")
_UNITS = {
    sentence.rpartition(" ")[2]: sentence
    for sentence in (
        Sentence("{number} s"),
        Sentence("{number} min"),
        Sentence("{number} h"),
        Sentence("{number} bytes"),
        Sentence("{number} kB"),
        Sentence("{number} MB"),
        Sentence("{number} GB"),
        Sentence("{number} TB"),
    )
}
_PLACE = re.compile(r"\{(\w+)\}")
_DECIMAL = re.compile(r"\d+\.\d+")
_MEASURE = re.compile(rf"(\d+(?:\.\d+)?) ({'|'.join(_UNITS)})\b")
_MEASURES = re.compile(rf"{_MEASURE.pattern}( {_MEASURE.pattern})*")
ENOUGH = 12  # letters of its own by which a sentence with places is known again


@dataclass(frozen=True)
class Catalogue:
    """One language: its own name, the sign before decimals, and its sentence for each English one."""

    name: str
    decimal: str
    sentences: Mapping[str, str]


def _read(path: Path) -> Catalogue:
    data = json.loads(path.read_text(encoding="utf-8"))
    return Catalogue(data["language"], data["decimal"], data["sentences"])


CATALOGUES: Mapping[str, Catalogue] = {
    "en": Catalogue("English", ".", {}),
    **{path.stem: _read(path) for path in sorted(_FOLDER.glob("*.json"))},
}


def language() -> str:
    """The tag of the language in which the request that is being answered is told."""
    return choose_language(visitors.current_cookie(COOKIE), visitors.current_header("accept-language"))


@functools.lru_cache(maxsize=256)
def choose_language(chosen: str, accepted: str) -> str:
    """The one that was chosen, else the best known of an Accept-Language header, else English."""
    if chosen in CATALOGUES:
        return chosen
    wishes = []
    for place, wish in enumerate(accepted.split(",")[:32]):
        tag, _, weight = wish.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, tag.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    return next((tag for weight, _, tag in sorted(wishes) if weight and tag in CATALOGUES), "en")


def translate(sentence: str, /, **places: object) -> str:
    """An English sentence, with its `{named}` places filled, in the visitor's language."""
    if isinstance(sentence, Sentence) and sentence.places:
        return translate(sentence.key, **{**sentence.places, **places})
    told = CATALOGUES[language()].sentences.get(sentence, sentence)
    return told.format_map({name: _tell_place(value) for name, value in places.items()}) if places else str(told)


def _tell_place(value: object) -> object:
    """What stands in a place: a sentence, or a number with its unit, is told too; a name stays as it is."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return translate_number(value)
    if isinstance(value, str) and _MEASURES.fullmatch(value):
        return translate_measures(value)
    return translate(value) if isinstance(value, Sentence) else value


def retell(sentence: str) -> str:
    """As `translate`, also of an English sentence that was written down as text: its places are found again."""
    if language() == "en" or (isinstance(sentence, Sentence) and sentence.places):
        return translate(sentence)
    return translate(_recognise(str(sentence)))


@functools.lru_cache(maxsize=1024)
def _recognise(text: str) -> Sentence:
    """The sentence that a text is, with key and places where the catalogues know it."""
    if any(text in catalogue.sentences for catalogue in CATALOGUES.values()):
        return Sentence(text)
    for key, parts in _templates():
        if (places := _find_places(parts, text)) is not None:
            return Sentence(key, **{name: _recognise(part) for name, part in places.items()})
    return Sentence(text)


@functools.cache
def _templates() -> list[tuple[str, list[str]]]:
    """Each sentence with places as texts and, between them, names; those with most words of their own first."""
    keys = {key for catalogue in CATALOGUES.values() for key in catalogue.sentences if _PLACE.search(key)}
    own = {key: len(_PLACE.sub("", key)) for key in keys}
    return [(key, _PLACE.split(key)) for key in sorted(keys, key=lambda key: (-own[key], key)) if own[key] >= ENOUGH]


def _find_places(parts: list[str], text: str) -> dict[str, str] | None:
    """What stands in the places of a template; each is as short as can be, so that a look takes linear time."""
    first, last, places = parts[0], parts[-1], dict[str, str]()
    if not (text.startswith(first) and text.endswith(last)):
        return None
    begin, names, texts = len(first), parts[1::2], parts[2::2]
    for number, (name, follows) in enumerate(zip(names, texts, strict=True), 1):
        end = len(text) - len(last) if number == len(names) else text.find(follows, begin + 1)
        if end <= begin or places.setdefault(name, text[begin:end]) != text[begin:end]:
            return None
        begin = end + len(follows)
    return places


def translate_measures(text: str) -> str:
    """Numbers with units in a text of `humanize`: "1 min 15 s" → "1분 15초", "8.5 GB" → "8,5 GB"."""
    return _MEASURE.sub(lambda found: translate(_UNITS[found[2]], number=translate_number(found[1])), text)


def translate_number(text: str) -> str:
    """A number as Python writes it, with the language's sign before decimals: "0.25" → "0,25"."""
    return text.replace(".", CATALOGUES[language()].decimal)


def translate_page(html: bytes) -> bytes:
    """The page with the visitor's catalogue in its head, before any other script of its own looks at the texts."""
    tag = language()
    catalogue = CATALOGUES[tag]
    words = {
        "tag": tag,
        "decimal": catalogue.decimal,
        "languages": {tag: one.name for tag, one in CATALOGUES.items()},
        "sentences": catalogue.sentences,
    }
    data = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c")  # no data may end the script
    script = f"<script>window.realfillWords = {data};\n{_SCRIPT}</script></head>"
    return html.replace(b"</head>", script.encode(), 1)
