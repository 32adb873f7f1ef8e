"""How much may stand in a request, how deep, and what an id is."""

import json
from typing import Any

import pytest

from ui.access.bodies import MAX_CALL, MAX_DEPTH, MAX_STROKES, Refused, check_body, max_length


def refused(body: bytes) -> int:
    with pytest.raises(Refused) as refusal:
        check_body(body)
    return refusal.value.status


def painted(count: int, **more: Any) -> bytes:
    return json.dumps({"data": [{"strokes": {"height": 9, "width": 9, "runs": "A" * count}, **more}]}).encode()


def test_a_megabyte_is_enough_for_all_but_strokes() -> None:
    check_body(b'{"data": ["' + b"x" * (MAX_CALL - 100) + b'"]}')
    assert refused(b'{"data": ["' + b"x" * MAX_CALL + b'"]}') == 413
    assert refused(b"x" * (MAX_CALL + 1)) == 413  # no JSON at all
    check_body(painted(MAX_STROKES - 1))
    assert refused(painted(MAX_STROKES, name="x" * MAX_CALL)) == 413
    assert refused(painted(MAX_STROKES + MAX_CALL)) == 413


@pytest.mark.parametrize("strokes", ["x" * MAX_CALL, ["x" * MAX_CALL], {"runs": ["x" * MAX_CALL]}])
def test_strokes_are_run_lengths_and_nothing_else(strokes: Any) -> None:
    assert refused(json.dumps({"strokes": strokes}).encode()) == 413


def test_only_where_the_workbench_is_sent_more_is_read_at_all() -> None:
    for path in ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/component_server"):
        assert max_length(path) == MAX_CALL + MAX_STROKES
    for path in ("/gradio_api/call/start_training", "/gradio_api/cancel", "/login", "/"):
        assert max_length(path) == MAX_CALL


@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_json_has_a_depth(pair: tuple[str, str]) -> None:
    def nested(depth: int) -> bytes:
        return (pair[0] * depth + "1" + pair[1] * depth).encode()

    check_body(nested(MAX_DEPTH))
    assert refused(nested(MAX_DEPTH + 1)) == 400
    assert refused(pair[0].encode() * 100_000) == 400
    check_body(json.dumps({"text": "[" * 1000, "quoted": '"' + "[" * 1000}).encode())  # not in texts


def test_texts_that_never_end_take_no_time() -> None:
    check_body(b'"' + b'\\"' * 400_000)  # by a backtracking expression this would take hours
    check_body(b'"\\' * 300_000)


@pytest.mark.parametrize("name", ["session_hash", "event_id", "fn_name"])
@pytest.mark.parametrize("value", [5, {}, ["a"], True, "x" * 200])
def test_an_id_is_a_short_text(name: str, value: Any) -> None:
    assert refused(json.dumps({name: value}).encode()) == 400
    check_body(json.dumps({name: "abc"}).encode())
    check_body(json.dumps({name: None}).encode())


@pytest.mark.parametrize("name", ["component_id", "fn_index"])
@pytest.mark.parametrize("value", ["5", {}, [5], True, 1.5])
def test_a_number_is_a_number(name: str, value: Any) -> None:
    assert refused(json.dumps({name: value}).encode()) == 400
    check_body(json.dumps({name: 5}).encode())
