"""Answers that nobody fetches end, on gradio's own queue."""

import asyncio
from collections.abc import Callable
from typing import Any

import gradio as gr
import pytest
from gradio.queueing import Event, Queue
from gradio.server_messages import HeartbeatMessage

from ui.access import unread
from ui.access.unread import UnreadAnswers


@pytest.fixture
def queue() -> Queue:
    with gr.Blocks() as page:
        gr.Button("go").click(lambda: None)
    page.queue(max_size=1000)
    return page._queue


def put(queue: Queue, session: str, messages: int = 1) -> Event:
    """What `Queue.push` and a finished handler leave behind."""
    event = Event(session, queue.blocks.fns[0], None, None)
    waiting = queue.pending_messages_per_session.setdefault(session, asyncio.Queue())
    for _ in range(messages):
        waiting.put_nowait(HeartbeatMessage())
    queue.pending_event_ids_session.setdefault(session, set()).add(event._id)
    queue.event_ids_to_events[event._id] = event
    return event


def known(queue: Queue) -> list[Any]:
    return [*queue.pending_messages_per_session, *queue.pending_event_ids_session, *queue.event_ids_to_events]


def run(steps: Callable[[], Any]) -> Any:
    return asyncio.run(steps())


def test_what_nobody_reads_for_two_minutes_is_forgotten(queue: Queue) -> None:
    async def steps() -> None:
        answers = UnreadAnswers(queue)
        put(queue, "left")
        put(queue, "read", messages=0)
        assert await answers.expire(0.0) == []
        assert await answers.expire(unread.KEEP - 1) == []
        assert await answers.expire(unread.KEEP) == ["left"]
        assert "left" not in known(queue) and "read" in queue.pending_messages_per_session
        assert len(queue.event_ids_to_events) == 1

    run(steps)


def test_who_reads_begins_anew(queue: Queue) -> None:
    async def steps() -> None:
        answers = UnreadAnswers(queue)
        put(queue, "slow")
        await answers.expire(0.0)
        queue.pending_messages_per_session["slow"].get_nowait()
        await answers.expire(unread.KEEP / 2)
        put(queue, "slow")
        assert await answers.expire(unread.KEEP) == []
        assert await answers.expire(2 * unread.KEEP) == ["slow"]

    run(steps)


def test_of_many_the_oldest_go_at_once(queue: Queue) -> None:
    async def steps() -> None:
        answers = UnreadAnswers(queue)
        put(queue, "first")
        await answers.expire(0.0)
        for number in range(unread.MOST):
            put(queue, f"s{number}")
        assert await answers.expire(1.0) == ["first"]
        assert len(queue.pending_messages_per_session) == unread.MOST

    run(steps)


def test_a_handler_that_still_works_for_it_ends_unheard(queue: Queue) -> None:
    async def steps() -> None:
        answers = UnreadAnswers(queue)
        event = put(queue, "left")
        queue.active_jobs = [[event]]
        await answers.expire(0.0)
        await answers.expire(unread.KEEP)
        assert not event.alive
        queue.send_message(event, HeartbeatMessage())  # nobody to send it to, and no error
        assert known(queue) == []

    run(steps)


def test_the_looks_go_on(queue: Queue) -> None:
    async def steps() -> None:
        looked = asyncio.Event()

        class Looks(UnreadAnswers):
            times = 0

            async def expire(self, now: float) -> list[str]:
                self.times += 1
                if self.times == 1:
                    raise KeyError("gone meanwhile")
                looked.set()
                return []

        task = asyncio.create_task(unread.keep_expiring(Looks(queue), every=0.0))
        await asyncio.wait_for(looked.wait(), 20)
        task.cancel()

    run(steps)
