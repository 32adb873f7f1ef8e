"""RealFill Studio in the browser: `python app.py`, then http://localhost:7860."""

import argparse
import os
import socket
import sys
from pathlib import Path

from realfill.errors import EXIT_INPUT, InputError, OptionError
from ui import uploads

PORT = 7860


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options; `host` and `port` come from gradio's variables where they are left out.

    Raises:
        OptionError: a variable is wrong, or asks for the network without the option.
    """
    parser = argparse.ArgumentParser(prog="app.py", description="Opens RealFill Studio in the browser.")
    parser.add_argument("--port", type=int, help=f"port to listen on (GRADIO_SERVER_PORT, else {PORT})")
    parser.add_argument("--host", help="address to listen on (this machine alone, else e.g. 0.0.0.0)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of the runs (runs)")
    parser.add_argument("--base", help="base for new runs: mini, sd2, a folder, a .safetensors file or a hub id")
    given = parser.parse_args(arguments)
    if given.host is None:
        given.host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
        if not _is_local(given.host) and not os.environ.get("SPACE_ID"):
            raise OptionError(
                f"GRADIO_SERVER_NAME={given.host} opens the page to the network; "
                f"if that is meant, give --host {given.host}."
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
    from ui.jobs import Jobs, default_base
    from ui.layout import Page

    uploads.sweep()
    host, port = given.host, given.port
    app = server.build(Page(Jobs(runs_dir), given.base or default_base()).blocks, host, port)
    shown = "localhost" if server.is_loopback(host) or host in ("0.0.0.0", "::") else host
    sys.stderr.write(f"RealFill Studio is at http://{shown}:{port} (runs in {runs_dir}; Ctrl-C ends it)\n")
    if not server.is_loopback(host):
        sys.stderr.write("Everybody who can reach this address can use it and see its runs.\n")
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    try:
        uvicorn.Server(settings).run(sockets=[listener])
    except KeyboardInterrupt:
        sys.stderr.write("Ended; runs that are being worked on go on.\n")


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


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
