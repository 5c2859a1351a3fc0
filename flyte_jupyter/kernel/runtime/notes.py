"""What a parent of attempts says about itself, in its own log."""

from __future__ import annotations

import os
from contextlib import suppress


def note(text: str) -> None:
    """One line on standard error. A log on a full disk takes none, and nobody's attempts may end for that.

    Written past `sys.stderr`, whose buffer would keep what found no room and hand it to every child that is forked.
    """
    with suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))
