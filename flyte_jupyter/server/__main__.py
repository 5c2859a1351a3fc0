"""``python -m flyte_jupyter.server``: the control plane's process, started as quickly as it can be."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """As `app.main`. Garbage is collected once the engine runs: nearly all that is made until then stays."""
    gc.disable()
    from flyte_jupyter.server import app

    return app.main()


if __name__ == "__main__":
    sys.exit(main())
