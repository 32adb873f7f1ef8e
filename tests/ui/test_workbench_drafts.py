"""Instant drafts: a line of real processes. Where only the line matters, the process does something plainer."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from realfill.errors import SceneError
from realfill.scene import scene
from tests.ui.test_workbench_endpoints import brought
from tests.waiting import wait_until
from ui.access import uploads
from ui.workbench import drafts
from ui.workbench.drafts import Answer, DraftQueue
from ui.workbench.payload import Payload

SLOW = [sys.executable, "-c", "import time; time.sleep(600)"]
QUICK = [
    sys.executable,
    "-c",
    "import pathlib, sys; from realfill import files; out = pathlib.Path(sys.argv[2]); out.touch(); "
    "files.write_json(out.with_name('words.json'), {'proposals': [{'shown': 's', 'confidence': 'c', 'whole': out.name, "
    "'vouched': 1, 'textured': True}], 'count': 1, 'references': [0], 'reason': ''})",
]
WAITING = [
    sys.executable,
    "-c",
    "import json, sys; sys.argv[1:] = json.loads(sys.stdin.readline()) if sys.argv[1] == '--wait' else sys.argv[1:]; "
    + QUICK[2],
]
BROKEN = [sys.executable, "-c", "raise SystemExit('no such luck')"]


@pytest.fixture
def given(folder: Path, toy_scene: Path) -> Payload:
    references = tuple(Path(brought(path)) for path in sorted((toy_scene / "ref").iterdir()))
    target = Path(brought(toy_scene / "target" / "target.png"))
    return Payload(references, target, strokes=scene.load(toy_scene).hole, name="A toy, photographed")


@pytest.fixture
def slow() -> Iterator[DraftQueue]:
    """A line whose drafts take ten minutes."""
    with contextlib.closing(DraftQueue(SLOW)) as line:
        yield line


@pytest.fixture
def queue() -> Iterator[Callable[[DraftQueue], DraftQueue]]:
    """Makes sure that a line's processes end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda line: stack.enter_context(contextlib.closing(line))


def until(look: Callable[[], Answer], wanted: Callable[[Answer], bool]) -> Answer:
    answers: list[Answer] = []

    def fits() -> bool:
        answers.append(look())
        return wanted(answers[-1])

    wait_until(fits, "the answer that is waited for")
    return answers[-1]


def child(line: DraftQueue, token: str) -> psutil.Process:
    process = line._requests[token].process
    assert process is not None
    return psutil.Process(process.pid)


def test_a_draft_is_made_and_remembered(given: Payload, queue: Callable[[DraftQueue], DraftQueue]) -> None:
    line = queue(DraftQueue())
    token = line.begin(given, "tab")["draft"]
    answer = until(lambda: line.look(token), lambda answer: bool(answer.get("over")))
    assert answer["sentence"].endswith(".")
    assert answer["held_back"] == (answer["vouched"] == 0)
    assert Path(answer["whole"]).name == "A toy- photographed-draft.png"
    for name in ("picture", "overlay", "whole"):
        assert Path(answer[name]).is_file() and Path(answer[name]).is_relative_to(uploads.folder())
    assert not (Path(answer["whole"]).parent / "scene").exists()  # photos are not kept twice
    line.drop(token)
    again = line.begin(given, "another tab")["draft"]
    assert line.look(again) == answer  # nothing is made twice
    other = replace(given, references=given.references[::-1])
    third = line.begin(other, "tab")["draft"]
    assert line.look(third)["state"] != "shown"
    line.drop(third)  # and with it the process that had waited for it
    assert line._waiting is None


def test_only_the_latest_are_kept(
    given: Payload, monkeypatch: pytest.MonkeyPatch, queue: Callable[[DraftQueue], DraftQueue]
) -> None:
    monkeypatch.setattr(drafts, "REMEMBERED", 1)
    line = queue(DraftQueue(QUICK))
    answers = []
    for name in ("one", "two"):
        token = line.begin(replace(given, name=name), "tab")["draft"]
        answers.append(until(partial(line.look, token), lambda answer: bool(answer.get("over"))))
    assert [Path(answer["whole"]).is_file() for answer in answers] == [False, True]


@pytest.fixture
def prepared() -> Iterator[DraftQueue]:
    """A line with a process that waits for what to draft."""
    with contextlib.closing(DraftQueue(WAITING)) as line:
        line.prepare()
        yield line


def test_a_process_that_waits_makes_the_next_draft_and_another_takes_its_place(
    prepared: DraftQueue, given: Payload
) -> None:
    waits = prepared._waiting
    prepared.prepare()
    assert prepared._waiting is waits  # one is enough
    token = prepared.begin(given, "tab")["draft"]
    assert prepared._requests[token].process is waits
    until(partial(prepared.look, token), lambda answer: bool(answer.get("over")))
    assert prepared._waiting not in (None, waits)


def test_nothing_waits_beside_a_draft_that_is_made(slow: DraftQueue, given: Payload) -> None:
    slow.begin(given, "tab")
    slow.prepare()
    assert slow._waiting is None


def test_a_process_that_ended_while_it_waited_costs_no_draft(prepared: DraftQueue, given: Payload) -> None:
    waits = prepared._waiting
    assert waits is not None
    waits.kill()
    waits.wait()
    token = prepared.begin(given, "tab")["draft"]
    until(partial(prepared.look, token), lambda answer: bool(answer.get("over")))


def test_a_process_that_ends_as_it_is_told_costs_no_draft(
    given: Payload, queue: Callable[[DraftQueue], DraftQueue]
) -> None:
    line = queue(
        DraftQueue([sys.executable, "-c", WAITING[2].replace("json.loads(sys.stdin.readline())", "sys.exit(1)")])
    )
    line.prepare()
    token = line.begin(given, "tab")["draft"]
    until(partial(line.look, token), lambda answer: bool(answer.get("over")))


def test_one_is_made_at_a_time_and_the_next_follows(slow: DraftQueue, given: Payload) -> None:
    first, second = slow.begin(given, "a")["draft"], slow.begin(given, "b")["draft"]
    assert slow.look(first) == {"state": "working"}
    assert slow.look(second) == {"state": "waiting", "before": 1}
    process = child(slow, first)
    slow.drop(first)
    assert not process.is_running()
    assert slow.look(second) == {"state": "working"}
    with pytest.raises(SceneError, match="not there any more"):
        slow.look(first)


def test_another_scene_of_the_same_tab_takes_the_place_of_the_first(slow: DraftQueue, given: Payload) -> None:
    process = child(slow, slow.begin(given, "tab")["draft"])
    place = slow.begin(replace(given, references=given.references[:1]), "tab")["draft"]
    assert not process.is_running()
    assert slow.look(place) == {"state": "working"}
    assert len(list((uploads.folder() / "drafted").iterdir())) == 1


def test_what_nobody_asks_for_is_given_up(slow: DraftQueue, given: Payload) -> None:
    first = slow.begin(given, "a")["draft"]
    process = child(slow, first)
    slow._requests[first].asked -= drafts.FORGOTTEN
    second = slow.begin(given, "b")["draft"]
    assert not process.is_running()
    assert slow._requests[second].process is not None


def test_a_draft_that_takes_too_long_ends(slow: DraftQueue, given: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    token = slow.begin(given, "a")["draft"]
    process = child(slow, token)
    monkeypatch.setattr(drafts, "LONGEST", 0.0)
    slow.begin(replace(given, references=given.references[:1]), "b")
    assert not process.is_running()


def test_what_was_proposed_in_time_stays_when_the_rest_takes_too_long(
    given: Payload, monkeypatch: pytest.MonkeyPatch, queue: Callable[[DraftQueue], DraftQueue]
) -> None:
    line = queue(DraftQueue([*QUICK[:2], QUICK[2] + "; import time; time.sleep(600)"]))
    token = line.begin(given, "tab")["draft"]
    until(partial(line.look, token), lambda answer: answer["state"] == "shown")
    process = child(line, token)
    monkeypatch.setattr(drafts, "LONGEST", 0.0)
    assert line.look(token)["over"] and not process.is_running()
    line.drop(token)


def test_a_process_that_dies_is_a_sentence(given: Payload, queue: Callable[[DraftQueue], DraftQueue]) -> None:
    line = queue(DraftQueue(BROKEN))
    token = line.begin(given, "tab")["draft"]
    with pytest.raises(SceneError, match="could not be made"):
        until(lambda: line.look(token), lambda _: False)
    assert not line._made


def test_what_is_missing_is_said_before_anything_starts(slow: DraftQueue, given: Payload) -> None:
    for lacking, sentence in (
        (replace(given, references=()), "no reference yet"),
        (replace(given, target=None), "no target yet"),
        (replace(given, strokes=None), "Nothing is marked"),
        (replace(given, variants=True), "known pixels"),
    ):
        with pytest.raises(SceneError, match=sentence):
            slow.begin(lacking, "tab")
    assert not slow._requests


def test_one_visitor_of_a_space_gets_two_drafts_at_once(
    slow: DraftQueue, given: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/realfill")
    slow.begin(given, "a")
    slow.begin(given, "b")
    slow.begin(given, "b")  # in place of the one before
    with pytest.raises(SceneError, match="2 drafts in work"):
        slow.begin(given, "c")


def test_the_line_has_an_end(slow: DraftQueue, given: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_LIVE", 2)
    for tab in "ab":
        slow.begin(given, tab)
    with pytest.raises(SceneError, match="Many drafts"):
        slow.begin(given, "c")


@pytest.mark.parametrize(
    ("vouched", "references", "said"),
    [
        (1.0, [3, 1, 2], "References 3, 1 and 2 show all of it."),
        (0.934, [2], "Reference 2 shows 93 % of it; the rest is made of the scene's texture."),
        (0.0, [1, 2], "No reference shows it; it is made of the scene's texture."),
    ],
)
def test_the_sentence_counts_as_people_do(vouched: float, references: list[int], said: str) -> None:
    assert drafts.sentence("", vouched, references, True) == said
    assert drafts.sentence("", 0.5, [1, 2], False) == "References 1 and 2 show 50 % of it; the rest is a guess."
    assert drafts.sentence("It held back.", vouched, references, True) == "It held back."
