#!/usr/bin/env bash
# Installs what is missing and opens RealFill Studio; arguments go to app.py (--port, --host, --runs-dir).
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$ROOT/.ci/environment.sh"
make_venv
install run requirements.txt
exec "$PYTHON" "$ROOT/app.py" "$@"
