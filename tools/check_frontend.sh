#!/bin/sh
# Check the JupyterLab extension: format, lint, types, unit tests, generated types. check_frontend.sh BIN
# BIN is the folder of the Python environment that has jlpm.
set -eu
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/../labextension"
PATH="$bin:$PATH"
export PATH

if ! command -v node >/dev/null 2>&1; then
    echo "The front-end checks need Node.js 20.19 or newer (or 22.12 or newer), and there is none on PATH. Install it and try again:" >&2
    echo "    apt-get install nodejs      (Debian)" >&2
    echo "    brew install node           (macOS)" >&2
    exit 1
fi
# The packages on disk are those of the lock file: yarn leaves its record of them among them.
if [ ! -f node_modules/.yarn-state.yml ] || [ yarn.lock -nt node_modules/.yarn-state.yml ]; then
    jlpm install --immutable
    touch node_modules/.yarn-state.yml
fi
python ../tools/generate_types.py --check
jlpm prettier --check .
jlpm eslint --max-warnings 0 .
jlpm tsc --build
jlpm test
