"""Serves the page: what `python app.py` and `realfill-studio` do once Ctrl-C is taken care of (`__main__`)."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from realfill.bases import BASES, EMBEDDED, PREFERRED
from realfill.errors import EXIT_DONE, EXIT_INPUT, InputError, OptionError
from realfill.locks import find_disk_trouble
from realfill.terminal import EndAtOnce, escape_unknown_characters

from . import ENDED, logs
from .access import uploads, visitors
from .access.hosts import host_name, is_loopback, read_users

PORT = 7860
HOUR = 3600.0  # seconds
SPACE_DISK = Path("/data")  # what a Space keeps over restarts, where its owner has mounted a storage bucket

_log = logging.getLogger("realfill.server")


@dataclass(frozen=True)
class ServerOptions:
    """What the server was started with; `users` are the passwords by user, empty where nobody has to sign in."""

    host: str
    port: int
    runs_dir: Path
    base: str | None  # None: the one that suits the machine
    users: Mapping[str, str]
    public_name: str  # of the proxy before it; empty: there is none


command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@command.command(help="Opens RealFill Studio in the browser.")
def choose_options(
    port: Annotated[int | None, typer.Option(help=f"Port to listen on (GRADIO_SERVER_PORT, else {PORT}).")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (this machine alone, else e.g. 0.0.0.0).")
    ] = None,
    auth: Annotated[
        str | None, typer.Option(help="USER:PASSWORD, or a file with such lines; needed where others can reach it.")
    ] = None,
    runs_dir: Annotated[
        Path | None, typer.Option(help="Folder of the runs (runs; on a Space with a mounted disk, there).")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help=f"Base for new runs: {', '.join(BASES)}, a folder, a .safetensors file or a hub id."),
    ] = None,
    behind_proxy: Annotated[
        str,
        typer.Option(metavar="NAME", help="Public name of a proxy before the page; its headers are believed then."),
    ] = "",
) -> ServerOptions:
    """The options as given; those left out come from gradio's variables, from the Space, or are this machine alone.

    Raises:
        OptionError: a value is wrong, or strangers could reach the page and nobody would have to sign in.
    """
    on_space = bool(os.environ.get("SPACE_ID"))
    if runs_dir is None:
        runs_dir = Path("runs")
        if on_space and os.access(SPACE_DISK, os.W_OK):
            runs_dir = _choose_space_folder(runs_dir)
    if host is None:
        host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else "127.0.0.1")
    users = read_users(auth) if auth else {}
    if not (is_loopback(host) or on_space or users):
        raise OptionError(
            f"--host {host} opens the page to others; "
            "say who may use it: --auth USER:PASSWORD, or --auth FILE with such lines."
        )
    if behind_proxy and host_name(behind_proxy) != behind_proxy.lower():
        raise OptionError(f"--behind-proxy {behind_proxy} is not a host's name; give one such as fill.example.org.")
    if behind_proxy and not (on_space or users):
        raise OptionError("--behind-proxy opens the page to others; say who may use it with --auth USER:PASSWORD.")
    port = _default_port() if port is None else port
    if not 1 <= port <= 65535:
        raise OptionError(f"Port {port} does not exist; give one from 1 to 65535.")
    return ServerOptions(host, port, runs_dir, base, users, behind_proxy)


def _choose_space_folder(own: Path) -> Path:
    """The runs' folder on the Space's mounted disk, or `own`, lost at a restart, where that cannot keep runs."""
    if why := find_disk_trouble(SPACE_DISK / "runs"):
        _log.warning(
            "%s cannot keep runs (%s); on the Space's own disk they are lost when it restarts", SPACE_DISK, why
        )
        return own
    return SPACE_DISK / "runs"


def outlives_restart(runs_dir: Path) -> bool:
    """Whether runs are still there when this server starts again: everywhere but on a Space's own disk."""
    return not visitors.is_space() or SPACE_DISK.resolve() in runs_dir.resolve().parents


def _default_port() -> int:
    port = os.environ.get("GRADIO_SERVER_PORT") or str(PORT)
    if not port.isdecimal():
        raise OptionError(f"GRADIO_SERVER_PORT is '{port}'; it must be a number such as {PORT}.")
    return int(port)


def parse_options(arguments: Sequence[str] | None = None) -> ServerOptions | None:
    """What `choose_options` makes of a command line; None where that asked for help, which is printed then.

    Raises:
        OptionError: as `choose_options`, or an option does not exist or has no value that fits.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = command(argv, prog_name="realfill-studio", standalone_mode=False)
    except TyperException as error:
        raise OptionError(error.format_message()) from error
    return options if isinstance(options, ServerOptions) else None


def main() -> int:
    """Serves the page until Ctrl-C. Exit code 2 and one sentence where that is not possible."""
    escape_unknown_characters()
    try:
        options = parse_options()
        if options is None:
            return EXIT_DONE
        listener = _open_socket(options.host, options.port)
        runs_dir = _make_folder(options.runs_dir)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_INPUT
    logs.bound_output()
    uploads.choose_folder(runs_dir)
    if visitors.is_space():
        visitors.load_key(runs_dir)
    serve(listener, options, runs_dir)
    return EXIT_DONE


def serve(listener: socket.socket, options: ServerOptions, runs_dir: Path) -> None:
    """Builds the page over `runs_dir` and serves it on an open socket."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    turns = None
    if visitors.is_zero_gpu() and options.base != EMBEDDED:
        from .zero_gpu import open_turns

        turns = open_turns(options.base or PREFERRED)
    from . import server
    from .decoding import decoder
    from .decoding.pointing import POINTING
    from .page import Page
    from .runs.hub_jobs import HubJobs
    from .runs.jobs import Jobs, default_base

    decoder.start()
    uploads.sweep()
    host, port = options.host, options.port
    hub = HubJobs() if visitors.can_sign_in() else None
    jobs = Jobs(runs_dir, turns=turns, hub=hub, lasting=outlives_restart(runs_dir))
    page = Page(jobs, options.base or (PREFERRED if turns else default_base()))
    app = server.build(page.blocks, host, port, options.users, options.public_name)
    shown = "localhost" if is_loopback(host) or host in ("0.0.0.0", "::") else host
    sys.stderr.write(f"RealFill Studio is at http://{shown}:{port} (runs in {runs_dir}; Ctrl-C ends it)\n")
    if options.users:
        sys.stderr.write("Who signs in can use it and see all its runs; put https before it on a network.\n")
    jobs.tend()
    page.projects.sweep()
    ended, sweeps = threading.Event(), (uploads.sweep, page.projects.sweep, POINTING.rest)
    threading.Thread(target=keep_tidy, args=(sweeps, ended), name="sweeps", daemon=True).start()
    try:
        if isinstance(signal.getsignal(signal.SIGINT), EndAtOnce):
            signal.signal(signal.SIGINT, signal.default_int_handler)
        server.WebServer(app).run(sockets=[listener])
    except KeyboardInterrupt:
        sys.stderr.write(f"{ENDED}\n")
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


def _open_socket(host: str, port: int) -> socket.socket:
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


def _make_folder(runs_dir: Path) -> Path:
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        return runs_dir.resolve(strict=True)
    except OSError as error:
        why = error.strerror or error
        raise OptionError(f"The folder {runs_dir} cannot be used for runs ({why}); give another --runs-dir.") from error
