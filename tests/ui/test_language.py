"""The page's texts in other languages: nothing is missing, nothing is left over, and places are kept."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from realfill import errors
from realfill.sentences import Sentence
from ui.access import visitors
from ui.language import catalogue
from ui.language.catalogue import CATALOGUES, choose_language, translate, translate_measures, translate_page
from ui.page import Page
from ui.runs.jobs import EXAMPLES, Jobs

UI = Path(catalogue.__file__).parents[1]
ROOT = UI.parent
# What is printed where a command is typed, or answers programs.
NOT_SHOWN = (
    *("realfill/cli/", "realfill/evaluation/", "realfill/batch/", "realfill/distributed/", "realfill/network.py"),
    *("ui/api.py", "ui/studio.py", "ui/access/hosts.py"),
)
SAYING = {
    **dict.fromkeys(("translate", "Sentence", "gr.Error"), 0),
    **{name: 0 for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)},
    "Refused": 1,
}
"""The functions that are given a sentence, and at which place."""
LANGUAGES = [tag for tag in CATALOGUES if tag != "en"]
ATTRIBUTES = ("title", "aria-label", "alt", "placeholder")
CALL = re.compile(r"""(?<!["'])\btranslate\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
NAMES = {"RealFill Studio", "px", "PNG", "JPEG", "TIFF", "WebP", "GIF", "Casa do Limoeiro"}  # alike in all languages
PLACE = re.compile(r"\{(\w+)\}")


def said_in_python(folder: Path) -> Iterator[str]:
    """The sentences that the code says: literals that `translate`, `Sentence` and errors are given."""
    for path in sorted(folder.rglob("*.py")):
        if path.relative_to(ROOT).as_posix().startswith(NOT_SHOWN):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in SAYING:
                sentence = node.args[SAYING[name]] if len(node.args) > SAYING[name] else None
                if isinstance(sentence, ast.Constant):
                    yield str(sentence.value)


def said_in_scripts() -> Iterator[str]:
    """The sentences that the page's scripts ask for."""
    for path in sorted(UI.rglob("*.js")):
        for found in CALL.finditer(path.read_text(encoding="utf-8")):
            yield str(ast.literal_eval(found[1]))


class _Texts(HTMLParser):
    """What a person reads in markup: texts and some attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._skips = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skips = tag == "style"
        self.found += [value for name, value in attrs if name in ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._skips = False

    def handle_data(self, data: str) -> None:
        if not self._skips:
            self.found.append(" ".join(data.split()))


def said_by_components(config: Mapping[str, Any]) -> Iterator[str]:
    """What gradio's configuration of the page says, as `translate.js` looks through it."""
    for component in config["components"]:
        if component["type"] == "api":  # of the page for programs
            continue
        props = component["props"]
        for name in ("label", "info", "placeholder"):
            yield props.get(name) or ""
        value = props.get("value")
        if isinstance(value, str) and component["type"] in ("button", "html"):
            yield from _Texts(value).found if value.startswith("<") else [value]
        yield from _Texts(props.get("html_template") or "").found
        # cards of several lines are told anew when the page loads
        yield from (shown for shown, value in props.get("choices") or () if shown != value and "\n" not in shown)


def said_by_examples() -> Iterator[str]:
    """What the state of the finished examples says."""
    for path in EXAMPLES.glob("*/state.json"):
        yield json.loads(path.read_text(encoding="utf-8"))["sentence"]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """All that the page can say, in English."""
    page = Page(Jobs(tmp_path_factory.mktemp("runs")))
    shown = said_by_components(page.blocks.get_config_file())
    texts = {
        *said_in_python(UI),
        *said_in_python(ROOT / "realfill"),
        *said_by_examples(),
        *said_in_scripts(),
        *shown,
    } - NAMES
    return {text for text in texts if re.search("[A-Za-z]{2}", text) and "${" not in text}


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A request from a browser that is set to German."""
    visitors.enter({"headers": [(b"accept-language", b"de-DE,de;q=0.9,en;q=0.8")]})
    yield
    visitors.enter({})


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_sentence_is_there(tag: str, said: set[str]) -> None:
    assert sorted(said - CATALOGUES[tag].sentences.keys()) == []


@pytest.mark.parametrize("tag", LANGUAGES)
def test_no_sentence_is_left_over(tag: str, said: set[str]) -> None:
    assert sorted(CATALOGUES[tag].sentences.keys() - said) == []


@pytest.mark.parametrize("tag", LANGUAGES)
def test_places_are_those_of_the_english_sentence(tag: str) -> None:
    for key, told in CATALOGUES[tag].sentences.items():
        assert set(PLACE.findall(told)) == set(PLACE.findall(key)), key
        assert told.strip(), key


def test_a_chosen_language_comes_before_the_browsers_wishes() -> None:
    assert choose_language("", "ko-KR,ko;q=0.9,en;q=0.8") == "ko"
    assert choose_language("de", "ko-KR") == "de"
    assert choose_language("xx", "fr-FR, en;q=0.5, de;q=0.7") == "de"
    assert choose_language("", "de;q=0, en") == "en"
    assert choose_language("", "de;q=x, nonsense") == "en"
    assert choose_language("", "") == "en"


def test_what_has_no_translation_is_told_in_english(wishes: None) -> None:
    assert translate("Not in any {place}.", place="catalogue") == "Not in any catalogue."
    assert translate("Braces {mean} nothing without places") == "Braces {mean} nothing without places"


def test_a_sentence_knows_its_places(wishes: None) -> None:
    sentence = Sentence("Waiting; {count} before it.", count=3)
    assert sentence == "Waiting; 3 before it."
    assert json.loads(json.dumps(sentence)) == "Waiting; 3 before it."
    assert translate(sentence) == translate("Waiting; {count} before it.", count=3) != sentence


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_sentence_is_known_again_where_only_its_text_was_kept(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    visitors.enter({"headers": [(b"cookie", f"{catalogue.COOKIE}={tag}".encode())]})
    for key in CATALOGUES[tag].sentences:
        if PLACE.search(key) and len(PLACE.sub("", key)) >= catalogue.ENOUGH:
            sentence = Sentence(key, **{name: f"«{name}»" for name in PLACE.findall(key)})
            assert catalogue.retell(str(sentence)) == translate(sentence), key
    visitors.enter({})


def test_units_and_decimals_are_those_of_the_language(wishes: None) -> None:
    assert translate_measures("8.5 GB of 16.0 GB, 1 min 05 s") == "8,5 GB of 16,0 GB, 1 min 05 s"
    assert translate("{size} of memory", size="8.5 GB") == "8,5 GB Speicher"
    assert translate("{size} of memory", size="v8.5.png") == "v8.5.png Speicher"


def test_nothing_ends_the_script_that_bears_the_catalogue(wishes: None) -> None:
    page = translate_page(b"<html><head></head><body></body></html>").decode()
    assert page.count("</script>") == 1
    assert '"tag": "de"' in page
