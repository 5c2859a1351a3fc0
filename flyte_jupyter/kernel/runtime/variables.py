"""The environment variables of a process that serves one attempt after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping


class Variables:
    """What `os.environ` holds, remembered between attempts, so that the next one costs no more than what differs."""

    def __init__(self) -> None:
        self._environ = os.environ
        self._given: Mapping[str, str] = os.environ.copy()
        self._left: Mapping[bytes, bytes] | None = _raw(os.environ)

    def become(self, env: Mapping[str, str]) -> None:
        """Have these and no others. Raises `OSError` or `ValueError` when one of them cannot be."""
        environ = self._environ
        # An attempt may have put something else in its place, which no command that it starts would heed.
        os.environ = environ  # noqa: B003
        has = self._given if _raw(environ) == self._left else environ.copy()
        self._left = None
        if has != env:
            _change(environ, has, env)
        self._given, self._left = env, _raw(environ)


def _raw(environ: os._Environ[str]) -> dict[bytes, bytes]:
    """A copy of what it holds, as it holds it: all else decodes each of them."""
    raw: dict[bytes, bytes] = environ._data  # type: ignore[attr-defined]  # noqa: SLF001  # as said
    return raw.copy()


def _change(environ: os._Environ[str], has: Mapping[str, str], env: Mapping[str, str]) -> None:
    # Each change is a call into the system's library.
    if has.keys() != env.keys():
        for name in has.keys() - env.keys():
            del environ[name]
    for name, value in env.items():
        if has.get(name) != value:
            environ[name] = value
    if has.get("TZ") != env.get("TZ"):
        # Read when a process first asks for the time of day, which may have been its parent.
        time.tzset()
