"""What is kept of a browser that came."""

from pathlib import Path

import gradio as gr
import pytest

from ui import server
from ui.access.sessions import MOST_CLOSED, SessionStates


def test_a_session_keeps_its_states_and_no_configs() -> None:
    with gr.Blocks() as page:
        kept, shown = gr.State("first"), gr.Textbox("words")
    states = SessionStates()
    states.set_blocks(page)
    session = states["one"]
    assert session[kept._id] == "first"
    states["one"][kept._id] = "second"
    states["one"]._update_value_in_config(shown._id, "much" * 1000)
    states["one"]._update_config(shown._id)
    assert states["one"] is session and session[kept._id] == "second" and states["two"][kept._id] == "first"
    assert not session.config_values and list(session.components) == []


def test_of_the_sessions_whose_tab_is_gone_the_last_used_stay() -> None:
    with gr.Blocks() as page:
        gr.State(0)
    states = SessionStates()
    states.set_blocks(page)
    names = [str(number) for number in range(MOST_CLOSED)]
    open_one = states["open"]
    for name in names:
        states[name].is_closed = True
    first = states["0"]  # a laptop wakes up
    states["another"].is_closed = True
    new = states["new"]
    assert set(states.session_data) == set(states.time_last_used) == {*names, "open", "another", "new"} - {"1"}
    assert (states["0"], states["open"], states["new"]) == (first, open_one, new)


def test_the_server_keeps_sessions_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks() as page:
        gr.State(0)
    server.build(page, "127.0.0.1", 7860)
    assert isinstance(page.state_holder, SessionStates)
    assert page.state_holder.capacity == server.SESSIONS
