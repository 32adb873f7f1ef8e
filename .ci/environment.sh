# The project's Python environment, shared by run.sh and test.sh (sourced, not run).
#
# Makes .venv, chooses the PyTorch build that fits the machine, installs exact pins, and stamps what
# it did, so that the second call has nothing to do. An interrupted call leaves no stamp: the next one
# goes on. Written for bash 3.2 (macOS).
#
#   REALFILL_TORCH   cpu | cuda | plain | an index URL: overrides what is found
#   REALFILL_PYTHON  the Python to make .venv with

TORCH_INDEX="https://download.pytorch.org/whl"
REACH_SECONDS=5

say() { printf 'realfill: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 2; }

# Sets PYTHON to the interpreter of .venv, making it when it is not there or does not start.
make_venv() {
    PYTHON="$ROOT/.venv/bin/python"
    if [ -x "$ROOT/.venv/Scripts/python.exe" ]; then PYTHON="$ROOT/.venv/Scripts/python.exe"; fi
    if is_new_enough "$PYTHON"; then return; fi
    local base
    base="$(find_python)" || refuse "Python 3.11 or newer is needed and was not found; get it from https://www.python.org/downloads/ or your package manager, or name one with REALFILL_PYTHON=/path/to/python3."
    say "making the environment in .venv"
    "$base" -m venv --clear "$ROOT/.venv" ||
        refuse "Python could not make an environment; on Debian and Ubuntu install it with: sudo apt install python3-venv"
    if [ -x "$ROOT/.venv/Scripts/python.exe" ]; then PYTHON="$ROOT/.venv/Scripts/python.exe"; fi
}

is_new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local name
    if [ -n "${REALFILL_PYTHON:-}" ]; then
        is_new_enough "$REALFILL_PYTHON" && printf '%s\n' "$REALFILL_PYTHON"
        return
    fi
    for name in python3 python python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$name"; then printf '%s\n' "$name"; return; fi
    done
    return 1
}

# Prints the pip index for torch, or nothing for the plain pin.
choose_torch_index() {
    local choice="${REALFILL_TORCH:-}"
    if [ -z "$choice" ]; then
        choice=plain
        if [ "$(uname -s)" != Darwin ]; then
            choice=cpu
            if nvidia-smi >/dev/null 2>&1; then choice=cuda; fi
        fi
    fi
    case "$choice" in
        plain) ;;
        cpu) printf '%s/cpu\n' "$TORCH_INDEX" ;;
        cuda) printf '%s/%s\n' "$TORCH_INDEX" "$(choose_cuda)" ;;
        http://* | https://* | file://*) printf '%s\n' "$choice" ;;
        *) refuse "REALFILL_TORCH is '$choice'; it may be cpu, cuda, plain or the address of a pip index." ;;
    esac
}

# torch 2.13 is built for CUDA 12.6, 12.9, 13.0 and 13.2. 13.0 wants a driver of that age and at least
# a Turing GPU; 12.6 runs on older drivers and GPUs, but knows no Blackwell; 12.9 fills that gap.
choose_cuda() {
    local driver gpu
    driver="$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9]*\).*/\1/p' | head -n 1)"
    gpu="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sed -n 's/^ *\([0-9][0-9]*\)\.\([0-9]\).*/\1\2/p' | sort -n | head -n 1)"
    if [ "${driver:-13}" -ge 13 ] && [ "${gpu:-75}" -ge 75 ]; then
        echo cu130
    elif [ "${gpu:-75}" -ge 100 ]; then
        echo cu129
    else
        echo cu126
    fi
}

can_reach() {
    "$PYTHON" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=float(sys.argv[2])).close()' \
        "${1%/}/torch/" "$REACH_SECONDS" >/dev/null 2>&1
}

install_torch() {
    local pin index
    pin="$(grep '^torch==' "$ROOT/requirements.txt")"
    index="$(choose_torch_index)" || exit 2
    if [ -n "$index" ] && ! can_reach "$index"; then
        say "$index cannot be reached; taking the plain build of $pin instead."
        index=""
    fi
    if [ -n "$index" ]; then
        say "installing $pin from $index"
        if is_other_build "$index"; then "$PYTHON" -m pip uninstall --quiet --yes torch; fi
        "$PYTHON" -m pip install "$pin" --index-url "$index"
    else
        say "installing $pin"
        "$PYTHON" -m pip install "$pin"
    fi
}

# Does .venv hold a torch of another build than the index serves? pip would think it fits and keep it.
is_other_build() {
    local build="${1##*/}"
    "$PYTHON" - "$build" <<'PY'
import importlib.metadata, sys
try:
    here = importlib.metadata.version("torch")
except importlib.metadata.PackageNotFoundError:
    sys.exit(1)
build = sys.argv[1]
known = build == "cpu" or build[:2] == "cu"
sys.exit(0 if known and not here.endswith("+" + build) else 1)
PY
}

# install NAME FILE…: what the requirement FILEs ask for, unless the stamp NAME says it is there.
install() {
    local name="$1" stamp hash file
    shift
    stamp="$ROOT/.venv/.realfill-$name"
    hash="${REALFILL_TORCH:-auto} $(cd "$ROOT" && cat "$@" | cksum) $(cd "$ROOT" && cksum < .ci/environment.sh)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$hash" ]; then return; fi
    "$PYTHON" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m ensurepip --upgrade >/dev/null ||
        refuse "The environment in .venv has no pip; remove the folder .venv and start again."
    install_torch || refuse "PyTorch could not be installed; what pip says above names the cause. Start again to go on."
    for file in "$@"; do
        say "installing $file"
        "$PYTHON" -m pip install --quiet -r "$ROOT/$file" ||
            refuse "Not everything in $file could be installed; what pip says above names the cause. Start again to go on."
    done
    printf '%s\n' "$hash" > "$stamp.new"
    mv "$stamp.new" "$stamp"
}
