"""Signing in on a Space: offered where the Space hands over what it takes, from the button to the owner of a run."""

import http.client
import importlib.util
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from realfill.runs.run import Run
from tests.ui.conftest import Server, fresh_id, serving
from ui.access import visitors

HOST = "me-realfill.hf.space"
SPACE = {"SPACE_ID": "me/realfill", "SPACE_HOST": HOST, "SYSTEM": "spaces"}
pytestmark = pytest.mark.skipif(
    not (importlib.util.find_spec("authlib") and importlib.util.find_spec("itsdangerous")),
    reason="gradio[oauth] is not installed; a Space with hf_oauth installs it",
)


class Provider(BaseHTTPRequestHandler):
    """What of OpenID Connect signing in asks for: who somebody is, signed."""

    def do_GET(self) -> None:
        """The provider's description and its keys."""
        from joserfc.jwk import RSAKey

        here = self._here()
        if self.path.endswith("openid-configuration"):
            ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            self._say({"issuer": here, **{name: here + path for name, path in ends.items()}})
        else:
            key = self.server.key  # type: ignore[attr-defined]
            assert isinstance(key, RSAKey)
            self._say({"keys": [key.as_dict(private=False, kid="1", use="sig")]})

    def do_POST(self) -> None:
        """Tokens for a code; the code is the nonce, so that nothing has to be remembered."""
        from joserfc import jwt

        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        here, now = self._here(), int(time.time())
        claims = {"iss": here, "aud": "client", "sub": "1", "iat": now, "exp": now + 600, "nonce": asked["code"][0]}
        claims |= {"name": "Ann", "preferred_username": "ann", "profile": "", "picture": ""}
        key = self.server.key  # type: ignore[attr-defined]
        signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, key)
        self._say({"access_token": "x", "token_type": "Bearer", "expires_in": 600, "id_token": signed})

    def _here(self) -> str:
        return f"http://{self.headers['host']}"

    def _say(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    from joserfc.jwk import RSAKey

    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.key = RSAKey.generate_key(2048)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, provider: str) -> Iterator[Server]:
    """A Space with `hf_oauth: true`."""
    oauth = dict(zip(visitors.SIGN_IN, ("client", "secret", "openid profile", provider), strict=True))
    with serving(tmp_path_factory.mktemp("signing"), tiny_base, **SPACE, **oauth) as server:
        yield server


def ask(server: Server, path: str, cookies: dict[str, str]) -> tuple[int, str, bytes]:
    """A browser's request through the Space's proxy: status, where it is sent, body; cookies that are set are kept."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    connection.request("GET", path, headers={"Host": HOST, "Cookie": cookie, "X-Forwarded-Proto": "https"})
    answer = connection.getresponse()
    body = answer.read()
    for line in answer.headers.get_all("set-cookie") or []:
        name, _, value = line.partition(";")[0].partition("=")
        assert "secure" in line.lower() and "samesite=none" in line.lower()  # the page stands in another site's frame
        cookies[name] = value
    connection.close()
    return answer.status, answer.headers["location"] or "", body


def sign_in(server: Server, cookies: dict[str, str]) -> None:
    status, away, _ = ask(server, "/login/huggingface?_target_url=/", cookies)
    assert status == 302
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(away).query)
    assert asked["client_id"] == ["client"] and asked["redirect_uri"][0].startswith(f"https://{HOST}/login/callback")
    back = urllib.parse.urlencode({"code": asked["nonce"][0], "state": asked["state"][0], "_target_url": "/"})
    assert ask(server, f"/login/callback?{back}", cookies)[:2] == (307, "/")


def client(server: Server, cookies: dict[str, str]) -> Client:
    shown = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return Client(server.url, headers={"Cookie": shown}, verbose=False)


def start(who: Client, scene: Path) -> str:
    photo, mask = (handle_file(str(scene / "target" / name)) for name in ("target.png", "mask.png"))
    settings = {"guide.only": True, "select.matcher": "sift"}
    return str(who.predict([photo], photo, mask, settings, "", api_name="/start_training")["project"])


def buttons(server: Server) -> list[str]:
    page = json.loads(ask(server, "/config", {})[2])
    return [one["props"]["value"] for one in page["components"] if one["props"].get("elem_id") == "sign-in"]


def test_a_space_without_it_and_every_other_machine_offer_no_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACE_ID", *visitors.SIGN_IN):
        monkeypatch.delenv(name, raising=False)
    assert not visitors.can_sign_in()
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert not visitors.can_sign_in()
    for name in visitors.SIGN_IN:
        monkeypatch.setenv(name, "given")
    assert visitors.can_sign_in()
    monkeypatch.delenv("SPACE_ID")
    assert not visitors.can_sign_in()


def test_runs_are_the_users_wherever_they_sign_in_and_the_browsers_own_stay(hosted: Server, toy_scene: Path) -> None:
    assert buttons(hosted) == ["Sign in"]
    here = {visitors.COOKIE: fresh_id(hosted)}
    before = start(client(hosted, here), toy_scene)  # nobody has to sign in
    sign_in(hosted, here)
    mine = start(client(hosted, here), toy_scene)
    owner = json.loads((hosted.runs_dir / mine / "labels.json").read_text())["owner"]
    assert owner == visitors.owner(
        {"headers": [], "session": {"oauth_info": {"userinfo": {"preferred_username": "ann"}}}}
    )
    for project in (before, mine):
        assert client(hosted, here).predict(project, api_name="/status")["project"] == project

    elsewhere = {visitors.COOKIE: fresh_id(hosted)}
    with pytest.raises(AppError, match="no such run"):
        client(hosted, elsewhere).predict(mine, api_name="/status")
    sign_in(hosted, elsewhere)
    assert client(hosted, elsewhere).predict(mine, api_name="/status")["project"] == mine
    with pytest.raises(AppError, match="no such run"):
        client(hosted, elsewhere).predict(before, api_name="/status")

    ask(hosted, "/logout", here)
    with pytest.raises(AppError, match="no such run"):
        client(hosted, here).predict(mine, api_name="/status")
    assert client(hosted, here).predict(before, api_name="/status")["project"] == before
    for project in (before, mine):
        Run.open(hosted.runs_dir / project).request_stop()


def test_signing_in_adds_nothing_for_programs(hosted: Server) -> None:
    known = client(hosted, {visitors.COOKIE: fresh_id(hosted)}).view_api(return_format="dict")
    assert set(known["named_endpoints"]) == {"/list_bases", "/start_training", "/status", "/list_seeds", "/export"}
    assert known["unnamed_endpoints"] == {}
