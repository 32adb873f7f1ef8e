"""Which requests the server takes: what the page, gradio's own script and `gradio_client` call, and nothing else.

Gradio offers many more: proxies that fetch addresses, an editor of the page's code, histories, monitors, a second
description of the API. A route that a later version adds stays shut until it is written down here.
"""

import re
from collections.abc import Iterable

API = "/gradio_api"
SIGN_IN = re.compile(r"/login/?")
FILE = f"{API}/file="  # before the path of a file of the page's private folder

_NAME = "[A-Za-z0-9_-]{1,128}"
# Before somebody has signed in; /config then answers 401 in gradio's own way, which its client reads.
_OPEN = (
    ("GET", r"/"),
    ("GET", r"/config/?"),
    ("GET", r"/(assets|static)/.+"),
    ("GET", r"/theme\.css"),
    ("GET", r"/(favicon\.ico|robots\.txt|manifest\.json)"),
    ("POST", SIGN_IN.pattern),
    ("GET", r"/login/(huggingface|callback)"),  # of a Space with hf_oauth
    ("GET", r"/logout"),
)
_INNER = (
    ("GET", rf"{API}/(info|app_id)/?"),
    # An absolute path, and no address: gradio would fetch that. On Windows it begins with a drive or a share.
    ("GET", rf"{API}/file=(/|[A-Za-z]:[\\/]|\\\\).+"),
    ("GET", rf"{API}/(queue/data|upload_progress)"),
    ("GET", rf"{API}/heartbeat/{_NAME}"),
    ("GET", rf"{API}/call/{_NAME}/{_NAME}"),
    ("POST", rf"{API}/(run|call)/{_NAME}/?"),
    ("POST", rf"{API}/(queue/join|upload|component_server|cancel|reset)/?"),
)


def _compile(rows: Iterable[tuple[str, str]]) -> dict[str, re.Pattern[str]]:
    """One expression for all paths of a method."""
    paths: dict[str, list[str]] = {}
    for method, path in rows:
        for also in (method, "HEAD") if method == "GET" else (method,):
            paths.setdefault(also, []).append(path)
    return {method: re.compile("|".join(f"(?:{path})" for path in listed)) for method, listed in paths.items()}


_WITHOUT_SIGN_IN, _ALL = _compile(_OPEN), _compile([*_OPEN, *_INNER])


def is_served(method: str, path: str) -> bool:
    """Whether the server takes this request at all; `path` is decoded and without query."""
    return _matches(_ALL, method, path)


def is_open(method: str, path: str) -> bool:
    """Whether it takes it from somebody who has not signed in, where there are users."""
    return _matches(_WITHOUT_SIGN_IN, method, path)


def _matches(patterns: dict[str, re.Pattern[str]], method: str, path: str) -> bool:
    pattern = patterns.get(method)
    return pattern is not None and pattern.fullmatch(path) is not None
