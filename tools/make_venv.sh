#!/bin/sh
# Make a virtual environment with pip in it: make_venv.sh PYTHON FOLDER
set -eu
python=$1 venv=$2

"$python" - <<'PY' || exit 1
import platform, sys
if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit(f"flyte-jupyter needs Python 3.11, 3.12 or 3.13 (flyteidl allows no newer one yet); {sys.executable} is {platform.python_version()}. Try: make PYTHON=python3.12 ...")
if platform.system() not in ("Linux", "Darwin"):
    sys.exit(f"flyte-jupyter runs on Linux and macOS, not on {platform.system()}. On Windows, use it inside WSL.")
PY

if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
elif "$python" -m pip --version >/dev/null 2>&1; then
    # Debian leaves ensurepip out: the system's own pip can fill an empty environment.
    "$python" -m venv --without-pip "$venv"
    "$python" -m pip --python "$venv/bin/python" install -q pip
else
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "This Python cannot make virtual environments yet. Install one package and try again:" >&2
    echo "    apt-get install python$version-venv" >&2
    exit 1
fi
