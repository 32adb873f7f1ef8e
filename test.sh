#!/usr/bin/env bash
# Lint, types and all tests; arguments go to pytest (./test.sh -m long: the longer forms; -m training: all examples).
# Tests alone: .venv/bin/python -m pytest tests/imaging
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$ROOT/.ci/environment.sh"

# The browser tests drive Debian's Chromium; without it they skip and say so.
get_browser() {
    if command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "no Chromium here: the browser tests will skip (on Debian: sudo apt install chromium)"
        return
    fi
    say "installing Chromium for the browser tests"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-liberation; } >/dev/null 2>&1 ||
        say "Chromium could not be installed: the browser tests will skip"
}

make_venv
install test requirements.txt requirements-dev.txt
get_browser
cd "$ROOT"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
exec "$PYTHON" -m pytest "$@"
