"""Answers that nobody fetches. Gradio's queue keeps them for as long as the server lives; here they end."""

import asyncio
import logging
import time
from typing import Any

KEEP = 120.0  # seconds; the page and gradio's client listen from the first moment on
MOST = 64  # sessions whose answers wait
EVERY = 5.0  # seconds between looks
_log = logging.getLogger("realfill.server")


class UnreadAnswers:
    """The sessions of gradio's queue whose answers wait for a reader."""

    def __init__(self, queue: Any) -> None:
        """`queue` is the `gradio.queueing.Queue` of a page."""
        self._queue = queue
        self._since: dict[str, float] = {}

    async def expire(self, now: float) -> list[str]:
        """Ends the sessions that have waited longest: beyond `MOST`, and after `KEEP` seconds. Returns them.

        A reader takes what there is at once, so a session that has messages at every look is not read.
        """
        sessions = self._queue.pending_messages_per_session
        waiting = [session for session, messages in sessions.items() if not messages.empty()]
        self._since = {session: self._since.get(session, now) for session in waiting}
        oldest = sorted(waiting, key=self._since.__getitem__)
        surplus = max(0, len(oldest) - MOST)
        ended = [*oldest[:surplus], *(one for one in oldest[surplus:] if now - self._since[one] >= KEEP)]
        for session in ended:
            await self._end(session)
        return ended

    async def _end(self, session: str) -> None:
        """Forgets all that the queue knows of a session; what is being worked on for it ends unheard."""
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        for event in self._queue.pending_event_ids_session.pop(session, ()):
            self._queue.event_ids_to_events.pop(event, None)


async def keep_expiring(answers: UnreadAnswers, every: float = EVERY) -> None:
    """Looks every so many seconds, until it is cancelled."""
    while True:
        await asyncio.sleep(every)
        try:
            await answers.expire(time.monotonic())
        except Exception:  # a defect: the log has it, and the next look comes all the same
            _log.exception("answers that nobody reads could not be ended")
