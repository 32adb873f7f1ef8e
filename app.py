"""RealFill Studio in the browser: `python app.py`, then http://localhost:7860."""

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from realfill.bases import BASES
from realfill.errors import EXIT_INPUT, InputError, OptionError
from ui.access import uploads
from ui.access.hosts import is_loopback, read_users

PORT = 7860
HOUR = 3600.0  # seconds
SPACE_DISK = Path("/data")  # what a Space keeps over restarts, where its owner has rented it

_log = logging.getLogger("realfill.server")


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options; `host` and `port` come from gradio's variables where they are left out.

    `users` are the passwords by user, empty where nobody has to sign in.

    Raises:
        OptionError: a value is wrong, or strangers could reach the page and nobody would have to sign in.
    """
    parser = argparse.ArgumentParser(prog="app.py", description="Opens RealFill Studio in the browser.")
    parser.add_argument("--port", type=int, help=f"port to listen on (GRADIO_SERVER_PORT, else {PORT})")
    parser.add_argument("--host", help="address to listen on (this machine alone, else e.g. 0.0.0.0)")
    parser.add_argument("--auth", help="USER:PASSWORD, or a file with such lines; needed where others can reach it")
    parser.add_argument("--runs-dir", type=Path, help="folder of the runs (runs; on a Space with a disk, its own)")
    parser.add_argument(
        "--base", help=f"base for new runs: {', '.join(BASES)}, a folder, a .safetensors file or a hub id"
    )
    given = parser.parse_args(arguments)
    space = bool(os.environ.get("SPACE_ID"))
    if given.runs_dir is None:
        given.runs_dir = SPACE_DISK / "runs" if space and os.access(SPACE_DISK, os.W_OK) else Path("runs")
    if given.host is None:
        given.host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if space else "127.0.0.1")
    given.users = read_users(given.auth) if given.auth else {}
    if not (is_loopback(given.host) or space or given.users):
        raise OptionError(
            f"--host {given.host} opens the page to others; "
            "say who may use it: --auth USER:PASSWORD, or --auth FILE with such lines."
        )
    if given.port is None:
        port = os.environ.get("GRADIO_SERVER_PORT") or str(PORT)
        if not port.isdecimal():
            raise OptionError(f"GRADIO_SERVER_PORT is '{port}'; it must be a number such as {PORT}.")
        given.port = int(port)
    if not 1 <= given.port <= 65535:
        raise OptionError(f"Port {given.port} does not exist; give one from 1 to 65535.")
    return given


def main() -> int:
    """Serves the page until Ctrl-C. Exit code 2 and one sentence where that is not possible."""
    try:
        given = options()
        listener = _listen(given.host, given.port)
        runs_dir = _folder(given.runs_dir)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_INPUT
    uploads.choose_folder(runs_dir)
    serve(listener, given, runs_dir)
    return 0


def serve(listener: socket.socket, given: argparse.Namespace, runs_dir: Path) -> None:
    """Builds the page over `runs_dir` and serves it on an open socket."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import uvicorn

    from ui import server
    from ui.page import Page
    from ui.runs.jobs import Jobs, default_base

    uploads.sweep()
    host, port = given.host, given.port
    jobs = Jobs(runs_dir)
    page = Page(jobs, given.base or default_base())
    app = server.build(page.blocks, host, port, given.users)
    shown = "localhost" if is_loopback(host) or host in ("0.0.0.0", "::") else host
    sys.stderr.write(f"RealFill Studio is at http://{shown}:{port} (runs in {runs_dir}; Ctrl-C ends it)\n")
    if given.users:
        sys.stderr.write("Who signs in can use it and see all its runs; put https before it on a network.\n")
    jobs.tend()
    page.projects.sweep()
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    ended, sweeps = threading.Event(), (uploads.sweep, page.projects.sweep)
    threading.Thread(target=keep_tidy, args=(sweeps, ended), name="sweeps", daemon=True).start()
    try:
        uvicorn.Server(settings).run(sockets=[listener])
    except KeyboardInterrupt:
        sys.stderr.write("Ended; runs that are being worked on go on.\n")
    finally:
        ended.set()


def keep_tidy(sweeps: Sequence[Callable[[], None]], ended: threading.Event, every: float = HOUR) -> None:
    """Sweeps every so many seconds until `ended` is set. One that fails is told to the log and tried again."""
    while not ended.wait(every):
        for sweep in sweeps:
            try:
                sweep()
            except Exception:  # a defect, or a disk that is away: a server that goes on for weeks needs the next ones
                _log.exception("a sweep failed")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        why = error.strerror or error
        raise OptionError(f"Cannot listen on {host}:{port} ({why}); give another --port or --host.") from error
    return listener


def _folder(runs_dir: Path) -> Path:
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        return runs_dir.resolve(strict=True)
    except OSError as error:
        why = error.strerror or error
        raise OptionError(f"The folder {runs_dir} cannot be used for runs ({why}); give another --runs-dir.") from error


if __name__ == "__main__":
    sys.exit(main())
