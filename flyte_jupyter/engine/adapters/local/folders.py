"""The executor's memory on disk: a journal of what it has accepted, for the next executor, and working directories."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from flyte_jupyter.engine.adapters.local import messages
from flyte_jupyter.engine.adapters.local.resources import Wants
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

_END = ".journal"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_MOST_SPARE = 512
"""How many empty directories wait for their next attempt: as many as a wide graph has begun, and some more."""
_LEAST_BYTES = 4 * 1024 * 1024
"""A journal is not written anew before it is larger than this."""


_KEY_LENGTH = 32
_quoted = json.encoder.encode_basestring_ascii
NOBODY = "-" * _KEY_LENGTH
"""As long as a key, and nobody's."""


def key_of(attempt: AttemptId) -> str:
    """The name of an attempt among processes and files: the digest of its id."""
    # Of its JSON, put together by hand: earlier releases have named theirs so, and whoever adopts them does it again.
    path = [_quoted(part) if isinstance(part, str) else str(part) for part in attempt.path]
    text = f"{_run_of(attempt.run)}, [{', '.join(path)}], {attempt.attempt}]"
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


@lru_cache(maxsize=64)
def _run_of(run: RunId) -> str:
    return json.dumps(list(run))[:-1]


class Kept(NamedTuple):
    """An attempt as it is kept. `grant` has devices once the attempt was started."""

    spec: AttemptSpec
    grant: Grant


@dataclass(slots=True)
class _Live:
    """What stands in the journal of one attempt: where its line is, and what was said later."""

    start: int
    length: int
    template: str
    work: str = ""
    devices: tuple[str, ...] = ()


class Folders:
    """Attempts below one root, of which ``<root>.journal`` tells.

    Its lines are JSON: a template (``template``, ``body``), an attempt that was accepted (``key`` and a description), one that
    got its directory (``key``, ``work``, ``devices``), one that is over (``gone``). A line that was cut short was not accepted.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root
        self._path = f"{root}{_END}"
        self._live: dict[str, _Live] = {}
        self._templates: dict[str, bytes] = {}
        self._last: tuple[core.TaskTemplate, str] | None = None
        self._spare: list[str] = []
        self._lent: set[str] = set()
        self._mode = -1
        self._fd = -1
        self._size = self._after = 0
        self._torn = False

    # -- the journal --

    def line_of(self, key: str, kept: Kept) -> bytes:
        """What `keep` will write of an attempt, for who has the time before it. Raises `OSError`."""
        return _line({"key": key, **_described(kept, self._template(kept.spec.template))})

    def keep(self, key: str, kept: Kept, work: str = "", line: bytes = b"") -> None:
        """Write down that the attempt was accepted, and its directory if it has got one by then. Raises `OSError`."""
        # Also for a line that was made before: the journal may have been written anew since, without the template.
        template = self._template(kept.spec.template)
        line = line or self.line_of(key, kept)
        live = _Live(0, len(line), template, work, kept.grant.devices)
        live.start = self._append(line + _begun(key, live) if work else line)
        self._live[key] = live
        self._lent.discard(work)

    def begin(self, key: str, grant: Grant) -> str:
        """A working directory for the attempt, which is about to start. Raises `OSError`."""
        live = self._live[key]
        name = live.work or self._empty(key)
        live.work, live.devices = name, grant.devices
        self._append(_begun(key, live))
        return self.path_of(name)

    def lend(self, key: str) -> str:
        """A directory for an attempt that may come; it is `keep`'s, or `take_back`'s. Raises `OSError`."""
        work = self._empty(key)
        self._lent.add(work)
        return work

    def take_back(self, work: str) -> None:
        """A directory that was lent is not needed."""
        self._lent.discard(work)
        if not self._spared(work):
            self.clear(work)

    def path_of(self, work: str) -> str:
        """Where a working directory stands."""
        return f"{self._root}/{work}"

    def forget(self, key: str) -> str:
        """Forget the attempt. Gives the directory that `clear` has to remove; ``""`` when nothing is left in it."""
        live = self._live.pop(key, None)
        if live is None:
            return ""
        with suppress(OSError):
            self._append(b'{"gone": "%s"}\n' % key.encode())
            if self._size > max(_LEAST_BYTES, 2 * self._after):
                self._write_anew()
        if not live.work or self._spared(live.work):
            return ""
        return live.work

    def clear(self, work: str) -> None:
        """Remove whatever a forgotten attempt has left."""
        shutil.rmtree(self._root / work, ignore_errors=True)

    def close(self) -> None:
        """Let go of the journal."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def all(self) -> Iterator[Kept]:
        """Everything kept, oldest first. Directories that belong to none of it are removed."""
        found = self._read()
        used = {live.work for live in self._live.values() if live.work}
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in list(self._root.iterdir()):
            if path.name not in used:
                with suppress(OSError):
                    path.unlink() if path.is_file() else shutil.rmtree(path)
        yield from found

    def _read(self) -> list[Kept]:
        self.close()
        self._live, self._templates, self._spare = {}, {}, []
        self._lent.clear()
        self._last = None
        kept: dict[str, Kept] = {}
        templates: dict[str, core.TaskTemplate] = {}
        data = b""
        with suppress(FileNotFoundError), open(self._path, "rb") as file:  # noqa: PTH123
            data = file.read()
        start = 0
        for line in data.splitlines(keepends=True):
            with suppress(ValueError, KeyError, TypeError):
                self._hear(messages.read(line), (start, line), kept, templates)
            start += len(line)
        self._torn = not data.endswith(b"\n") if data else False
        self._size = self._after = len(data)
        return list(kept.values())

    def _hear(
        self,
        said: dict[str, Any],
        at: tuple[int, bytes],
        kept: dict[str, Kept],
        templates: dict[str, core.TaskTemplate],
    ) -> None:
        if "gone" in said:
            kept.pop(said["gone"], None)
            self._live.pop(said["gone"], None)
        elif "body" in said:
            body = core.TaskTemplate.FromString(base64.b64decode(said["body"]))
            templates[said["template"]] = body
            self._templates[said["template"]] = at[1]
        elif "work" in said:
            key, devices = said["key"], tuple(said["devices"])
            spec, wants = kept[key].spec, kept[key].grant.wants
            kept[key] = Kept(spec, Grant(wants, devices))
            self._live[key].work, self._live[key].devices = said["work"], devices
        else:
            one = _read_spec(said, templates[said["template"]])
            kept[said["key"]] = one
            live = _Live(at[0], len(at[1]), said["template"], devices=one.grant.devices)
            self._live[said["key"]] = live

    def _template(self, template: core.TaskTemplate) -> str:
        """The digest of a template that stands in the journal. Attempts of one task have one and the same, so the last is remembered."""
        if self._last is None or self._last[0] is not template:
            data = template.SerializeToString(deterministic=True)
            digest = hashlib.sha256(data).hexdigest()[:32]
            if digest not in self._templates:
                line = _line({"template": digest, "body": base64.b64encode(data).decode()})
                self._append(line)
                self._templates[digest] = line
            self._last = template, digest
        return self._last[1]

    def _append(self, line: bytes) -> int:
        """Write a line; where it begins. Raises `OSError`."""
        if self._fd < 0:
            self._fd = os.open(self._path, _FLAGS, 0o600)
            self._size = os.fstat(self._fd).st_size
        data = b"\n" + line if self._torn else line
        self._torn = True
        written = os.write(self._fd, data)
        self._size += written
        if written < len(data):
            # The first of two lines may be whole, and would tell of what was not accepted.
            os.ftruncate(self._fd, self._size - written)
            self._size -= written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False
        return self._size - len(line)

    def _write_anew(self) -> None:
        """Leave out what is over."""
        used = {live.template for live in self._live.values()}
        self._templates = {at: line for at, line in self._templates.items() if at in used}
        self._last = None
        part, places, size = f"{self._path}.part", {}, 0
        with open(part, "wb") as file:  # noqa: PTH123
            for line in self._templates.values():
                size += file.write(line)
            for key, live in self._live.items():
                line = os.pread(self._fd, live.length, live.start)
                places[key] = size
                size += file.write(line)
                if live.work:
                    size += file.write(_begun(key, live))
        os.replace(part, self._path)  # noqa: PTH105
        for key, start in places.items():
            self._live[key].start = start
        self.close()
        self._size = self._after = size

    # -- working directories --

    def _empty(self, key: str) -> str:
        """An empty directory: one that an earlier attempt left so, or a new one."""
        while self._spare:
            name = self._spare.pop()
            # Somebody who clears up may have taken it for rubbish.
            if os.path.isdir(f"{self._root}/{name}"):  # noqa: PTH112
                return name
        # Strings: an attempt waits for this.
        path = f"{self._root}/{key}"
        try:
            os.mkdir(path)  # noqa: PTH102
        except FileExistsError:
            # Named for one that was here before, it may have been given to another since.
            if key in self._lent or any(live.work == key for live in self._live.values()):
                return os.path.basename(tempfile.mkdtemp(prefix=f"{key}-", dir=self._root))  # noqa: PTH119
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path, exist_ok=True)  # noqa: PTH103
        except FileNotFoundError:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.makedirs(path, exist_ok=True)  # noqa: PTH103
        if self._mode < 0:
            self._mode = os.stat(path).st_mode  # noqa: PTH116
        return key

    def _spared(self, name: str) -> bool:
        """Keep an empty directory for another attempt; False when it is not as it was given."""
        path = f"{self._root}/{name}"
        try:
            as_given = os.lstat(path).st_mode == self._mode and not os.listdir(path)  # noqa: PTH208
        except OSError:
            return False
        if not as_given:
            return False
        if len(self._spare) < _MOST_SPARE:
            self._spare.append(name)
            return True
        with suppress(OSError):
            os.rmdir(path)  # noqa: PTH106
            return True
        return False


def _line(said: Mapping[str, Any]) -> bytes:
    return messages.written(said) + b"\n"


def _begun(key: str, live: _Live) -> bytes:
    if not live.devices:  # every launch writes one; a directory is named like a key
        return b'{"key": "%s", "work": "%s", "devices": []}\n' % (key.encode(), live.work.encode())
    return _line({"key": key, "work": live.work, "devices": live.devices})


def _described(kept: Kept, template: str) -> dict[str, Any]:
    spec, wants = kept.spec, kept.grant.wants
    run = spec.id.run
    return {
        "run": [run.project, run.domain, run.name],
        "path": list(spec.id.path),
        "attempt": spec.id.attempt,
        "template": template,
        "uris": [spec.inputs, spec.output_prefix, spec.raw_output_prefix, spec.prev_checkpoint],
        "env": dict(spec.env),
        "names": [spec.workflow, spec.node, spec.index],
        "wants": [wants.cpu, wants.memory, wants.gpu],
        "devices": list(kept.grant.devices),
        "given": None if spec.given is None else base64.b64encode(spec.given).decode(),
    }


def _read_spec(found: dict[str, Any], template: core.TaskTemplate) -> Kept:
    inputs, output_prefix, raw_output_prefix, prev_checkpoint = found["uris"]
    workflow, node, index = found["names"]
    given = found.get("given")
    spec = AttemptSpec(
        id=AttemptId(RunId(*found["run"]), tuple(found["path"]), found["attempt"]),
        template=template,
        inputs=inputs,
        output_prefix=output_prefix,
        raw_output_prefix=raw_output_prefix,
        env=found["env"],
        given=None if given is None else base64.b64decode(given),
        prev_checkpoint=prev_checkpoint,
        workflow=workflow,
        node=node,
        index=index,
    )
    return Kept(spec, Grant(Wants(*found["wants"]), tuple(found["devices"])))
