"""Whether a host's name is known, asked with a time limit: the system's own question may take a minute when offline."""

import socket
import threading
import time
from urllib.request import getproxies, proxy_bypass

TIMEOUT = 10.0  # seconds until a name server counts as silent
REMEMBERED = 300.0  # seconds for which a silent one is not asked again by this process
_SILENT = "the name server does not answer"


class NameServer:
    """Asks the system for the addresses of hosts; remembers for a while that nobody answers."""

    def __init__(self) -> None:
        self._silent_until = 0.0
        self._guard = threading.Lock()

    def check_host(self, host: str) -> None:
        """Whether the name of a host has an address; nothing is asked where a proxy will.

        Raises:
            OSError: it has none, or the name server does not answer.
        """
        if getproxies().get("https") and not proxy_bypass(host):
            return
        with self._guard:
            if time.monotonic() < self._silent_until:
                raise TimeoutError(_SILENT)
            try:
                _ask(host)
            except OSError as error:
                if isinstance(error, TimeoutError) or error.errno == socket.EAI_AGAIN:
                    self._silent_until = time.monotonic() + REMEMBERED
                raise


NAME_SERVER = NameServer()  # one for the process


def _ask(host: str) -> None:
    """Resolves a name in a thread of its own, which is left to itself where it takes too long.

    Raises:
        OSError: as `NameServer.check_host`.
    """
    refusals: list[OSError] = []

    def resolve() -> None:
        try:
            socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        except OSError as error:
            refusals.append(error)

    asking = threading.Thread(target=resolve, name="name server", daemon=True)
    asking.start()
    asking.join(TIMEOUT)
    if asking.is_alive():
        raise TimeoutError(_SILENT)
    if refusals:
        raise refusals[0]
