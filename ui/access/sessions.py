"""What gradio keeps of each browser that came: its states, and nothing that this page never asks for."""

from typing import Any

from gradio.state_holder import SessionState, StateHolder

MOST_CLOSED = 64  # sessions whose tab is gone


class _Nothing(dict[int, dict[str, Any]]):
    """Takes configs and keeps none."""

    def __setitem__(self, key: int, value: dict[str, Any]) -> None:
        pass

    def __missing__(self, key: int) -> dict[str, Any]:
        return {}


class SessionStates(StateHolder):  # type: ignore[misc]  # no types there
    """Gradio's states of sessions, without the config of every component that it keeps in each of them.

    It serves links that bring a page's state back (`gr.DeepLinkButton`), of which this page has none, and takes a
    quarter of a megabyte for every load of the page, with the values that were last shown there. Of the sessions
    whose tab is gone, or was for a while, those used last stay: a laptop that wakes up goes on.
    """

    def __getitem__(self, session_id: str) -> SessionState:
        """The state of a session, made when it is first asked for."""
        is_new = session_id not in self.session_data
        state = super().__getitem__(session_id)
        if is_new:
            state.config_values = _Nothing()
            self._forget_closed()
        return state

    def _forget_closed(self) -> None:
        with self.lock:
            closed = [
                session for session, state in self.session_data.items() if state.is_closed
            ]  # longest unused first
            for session in closed[:-MOST_CLOSED]:  # they stand in the order of their last use
                del self.session_data[session]
                self.time_last_used.pop(session, None)
