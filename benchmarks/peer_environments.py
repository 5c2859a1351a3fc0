"""One virtual environment a peer, made once and kept in ``.cache/peers``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "peers"
SCRIPTS = Path(__file__).resolve().parent / "peers"

REQUIREMENTS = {
    "flytekit": ["flytekit>=1.16,<2"],
    # Prefect 3.8's server does not start with newer releases of FastAPI.
    "prefect": ["prefect>=3,<4", "fastapi<0.140"],
    "dagster": ["dagster>=1.9"],
    "metaflow": ["metaflow>=2.15"],
    "dbos": ["dbos>=2"],
}


def interpreter(peer: str) -> Path:
    """The Python of a peer's environment, made when it is not there."""
    folder = FOLDER / peer
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        print(f"  installing {peer} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--prefer-binary", *REQUIREMENTS[peer]],
            check=True,
        )
        ready.touch()
    return python
