"""Who owns which run: nobody off a Space; on one the visitor, by cookie, header or account."""

import json
import os
import secrets
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from realfill.errors import RunError
from realfill.runs.run import Run
from tests.ui.conftest import Server, fresh_id, serving
from ui.access import visitors
from ui.access.visitors import current_visitor
from ui.runs import jobs
from ui.runs.jobs import Jobs, owner_facts
from ui.runs.projects import Projects

ID, OTHER = visitors.new_id(), visitors.new_id()


def scope(cookie: str = "", header: str = "", user: str = "") -> dict[str, Any]:
    headers = [(b"cookie", cookie.encode()), (b"X-RealFill-Visitor", header.encode())]
    session = {"oauth_info": {"userinfo": {"preferred_username": user}}} if user else {}
    return {"headers": headers, "session": session}


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")


def test_an_id_is_read_from_cookie_or_header_if_this_server_made_it() -> None:
    assert visitors.visitor_id(scope(f"theme=dark; {visitors.COOKIE}={ID}")) == ID
    assert visitors.visitor_id(scope(header=ID)) == ID
    token, signature = ID.split(".")
    forged = (token, "a" * 24, f"{token}.", f"{OTHER[:32]}.{signature}", f"{token}.{'0' * 64}", ID.upper(), ID + "0")
    for wrong in ("short", "a" * 65, "a" * 20 + "/../", "a b" * 10, "", *forged):
        assert visitors.visitor_id(scope(f"{visitors.COOKIE}={wrong}")) == ""
        assert visitors.visitor_id(scope(header=wrong)) == ""
    assert visitors.visitor_id(scope("\xff=;;")) == ""


def test_a_new_cookie_is_an_id_and_no_two_are_the_same() -> None:
    ids = {visitors.visitor_id(scope(visitors.new_cookie().partition(";")[0])) for _ in range(50)}
    assert len(ids) == 50 and "" not in ids


def test_the_key_lies_beside_the_runs_and_outlasts_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "_keys", [b"of this process"])
    visitors.load_key(tmp_path)
    known = visitors.new_id()
    assert os.name != "posix" or (tmp_path / visitors.KEY).stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(visitors, "_keys", [b"of another process"])
    assert visitors.visitor_id(scope(header=known)) == ""
    visitors.load_key(tmp_path)
    assert visitors.visitor_id(scope(header=known)) == known
    (tmp_path / visitors.KEY).write_bytes(b"")  # whoever can guess a key can be anybody
    visitors.load_key(tmp_path)
    assert visitors.visitor_id(scope(header=known)) == "" and len(visitors._keys[-1]) == 32


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("somebody", "somebody"), ("", "")],
)
def test_an_address_counts_as_what_one_has_of_them(address: str, network: str) -> None:
    assert visitors.network({"client": (address, 7)}) == network
    assert visitors.network({}) == ""


def test_an_owner_gives_no_id_away_and_an_account_goes_before_a_cookie() -> None:
    owner = visitors.owner(scope(header=ID))
    assert len(owner) == 32 and ID not in owner
    assert owner != visitors.owner(scope(header=OTHER)) != visitors.NOBODY
    assert visitors.owner(scope(header=ID, user="ann")) == visitors.owner(scope(user="ann")) != owner
    assert visitors.owner(scope()) == visitors.NOBODY


def test_off_a_space_everything_is_everybodys(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    visitors.enter(scope(header=ID))
    assert current_visitor() == visitors.NOBODY
    run.labels.update(owner="somebody")
    assert Jobs(run.folder.parent).open(run.folder.name).folder == run.folder
    assert owner_facts() == {}


@pytest.mark.usefixtures("space")
def test_on_a_space_others_neither_list_nor_open_nor_change(run: Run, folder: Path) -> None:
    visitors.enter(scope(header=ID))
    here = Jobs(run.folder.parent)
    projects = Projects(here)
    run.labels.update(**owner_facts())
    assert here.open(run.folder.name).folder == run.folder
    assert here.latest_id() == run.folder.name and len(projects.listing()) == 1
    for asking in (scope(header=OTHER), scope()):
        visitors.enter(asking)
        assert here.latest_id() == "" and projects.listing() == []
        for forbidden in (here.open, here.folder, projects.duplicate, projects.delete):
            with pytest.raises(RunError, match="no such run"):
                forbidden(run.folder.name)
        with pytest.raises(RunError, match="no such run"):
            projects.rename(run.folder.name, "mine")
    visitors.enter(scope(header=ID))
    projects.delete(run.folder.name)
    visitors.enter(scope(header=OTHER))
    with pytest.raises(RunError, match="gone"):
        projects.restore(run.folder.name)


@pytest.mark.usefixtures("space")
def test_a_run_without_owner_is_nobodys(run: Run) -> None:
    for asking in (scope(), scope(header=ID)):
        visitors.enter(asking)
        with pytest.raises(RunError):
            Jobs(run.folder.parent).open(run.folder.name)


@pytest.mark.usefixtures("space")
def test_copies_and_examples_belong_to_who_made_them(run: Run, folder: Path, tmp_path: Path) -> None:
    visitors.enter(scope(header=ID))
    run.labels.update(**owner_facts())
    here = Jobs(run.folder.parent)
    copy = Run.open(run.folder.parent / Projects(here).duplicate(run.folder.name))
    (tmp_path / "examples").mkdir()
    copy.folder.rename(tmp_path / "examples" / "barn")
    projects = Projects(Jobs(here.runs_dir, tmp_path / "examples"))
    mine = projects.take_example("barn")
    visitors.enter(scope(header=OTHER))
    theirs = projects.take_example("barn")
    assert mine != theirs and [one.id for one in projects.listing()] == [theirs]


@pytest.mark.usefixtures("space")
def test_a_visitor_has_a_few_runs_waiting_and_no_more(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(Jobs, "ensure_worker", lambda self: None)
    monkeypatch.setattr(jobs, "MOST", 1)
    visitors.enter(scope(header=ID))
    run.labels.update(**owner_facts())
    here = Jobs(run.folder.parent)
    other = Run.open(run.folder.parent / Projects(here).duplicate(run.folder.name))
    here.resume(run)
    here.resume(run)  # itself does not count
    with pytest.raises(RunError, match="You have 1 run"):
        here.resume(other)
    visitors.enter(scope())
    with pytest.raises(RunError, match="cookie"):
        here.resume(other)


# ── the started server, with a Space's environment ──


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Server]:
    names = {"SPACE_ID": "me/realfill", "SPACE_HOST": "me-realfill.hf.space", "SYSTEM": "spaces"}
    with serving(tmp_path_factory.mktemp("hosted"), tiny_base, **names) as server:
        yield server


def test_two_programs_do_not_see_each_others_projects(hosted: Server, toy_scene: Path) -> None:
    one, other = (Client(hosted.url, headers={visitors.HEADER: fresh_id(hosted)}, verbose=False) for _ in range(2))
    photo = handle_file(str(toy_scene / "target" / "target.png"))
    mask = handle_file(str(toy_scene / "target" / "mask.png"))
    settings = {"train.steps": 5000, "train.batch": 1}
    project = one.predict([photo], photo, mask, settings, "", api_name="/start_training")["project"]
    assert one.predict(project, api_name="/status")["state"] in ("queued", "running")
    for name in ("/status", "/list_seeds", "/export"):
        with pytest.raises(AppError, match="no such run"):
            other.predict(project, api_name=name)
    for headers in ({}, {visitors.HEADER: secrets.token_urlsafe(24)}, {visitors.HEADER: visitors.new_id()}):
        nobody = Client(hosted.url, headers=headers, verbose=False)  # the last one is of another server
        with pytest.raises(AppError, match="cookie"):
            nobody.predict([photo], photo, mask, settings, "", api_name="/start_training")
    ids = [fresh_id(hosted) for _ in range(2)]
    sent = {"files": ("photo.png", (toy_scene / "ref" / "0.png").read_bytes())}
    (path,) = httpx.post(f"{hosted.url}gradio_api/upload", files=sent, headers={visitors.HEADER: ids[0]}).json()
    fetched = [httpx.get(f"{hosted.url}gradio_api/file={path}", headers={visitors.HEADER: one}) for one in ids]
    assert [answer.status_code for answer in fetched] == [200, 404]
    run = Run.open(hosted.runs_dir / project)
    assert run.folder.name == project and len(json.loads((run.folder / "labels.json").read_text())["owner"]) == 32
    run.request_stop()


def test_a_browser_gets_its_id_once(hosted: Server) -> None:
    with urllib.request.urlopen(hosted.url, timeout=20) as answer:
        cookie = answer.headers["set-cookie"]
        assert "https://huggingface.co" in answer.headers["content-security-policy"]
    assert cookie.startswith(f"{visitors.COOKIE}=")
    again = urllib.request.Request(hosted.url, headers={"Cookie": cookie.partition(";")[0]})
    with urllib.request.urlopen(again, timeout=20) as answer:
        assert answer.headers["set-cookie"] is None
    chosen = urllib.request.Request(hosted.url, headers={"Cookie": f"{visitors.COOKIE}={'a' * 32}"})
    with urllib.request.urlopen(chosen, timeout=20) as answer:  # of an earlier version, or made up
        assert answer.headers["set-cookie"].startswith(f"{visitors.COOKIE}=")
