"""The executor's memory on disk: one folder per attempt, so that a new executor knows what an old one had accepted."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.adapters.local.resources import Wants
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

_FILE = "attempt.json"
_WORK = "work"


def key_of(attempt: AttemptId) -> str:
    """The name of an attempt among processes and files: the digest of its id."""
    words = [attempt.run.project, attempt.run.domain, attempt.run.name, list(attempt.path)]
    text = json.dumps([*words, attempt.attempt])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Kept:
    """An attempt as it is kept. `grant` has devices once the attempt was started."""

    spec: AttemptSpec
    grant: Grant


class Folders:
    """Folders of attempts below one root: a description, and ``work``, the attempt's working directory."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root

    def work(self, key: str) -> Path:
        """The attempt's own working directory."""
        return self._root / key / _WORK

    def keep(self, key: str, kept: Kept) -> None:
        """Write the description, and make the working directory. Raises `OSError`."""
        # Strings: an attempt waits for this.
        folder = f"{self._root}/{key}"
        try:
            os.mkdir(folder)  # noqa: PTH102
            os.mkdir(f"{folder}/{_WORK}")  # noqa: PTH102
        except OSError:
            self.work(key).mkdir(parents=True, exist_ok=True)
        part = f"{folder}/{_FILE}.part"
        with open(part, "wb") as file:  # noqa: PTH123
            file.write(json.dumps(_wire(kept)).encode())
        os.replace(part, f"{folder}/{_FILE}")  # noqa: PTH105

    def forget(self, key: str) -> bool:
        """Forget the attempt, and remove its folders if nothing is left in them; False when `clear` has to."""
        folder = f"{self._root}/{key}"
        # The description goes first: a removal that is cut short is not taken for an attempt.
        with suppress(OSError):
            os.unlink(f"{folder}/{_FILE}")  # noqa: PTH108
        try:
            os.rmdir(f"{folder}/{_WORK}")  # noqa: PTH106
            os.rmdir(folder)  # noqa: PTH106
        except OSError:
            return False
        return True

    def clear(self, key: str) -> None:
        """Remove whatever a forgotten attempt has left."""
        shutil.rmtree(self._root / key, ignore_errors=True)

    def all(self) -> Iterator[Kept]:
        """Everything kept, oldest first. What cannot be read was never accepted, and is removed."""
        found = []
        for folder in self._root.iterdir():
            try:
                path = folder / _FILE
                found.append((path.stat().st_mtime_ns, _read(json.loads(path.read_bytes()))))
            except (OSError, ValueError, KeyError, TypeError):
                shutil.rmtree(folder, ignore_errors=True)
        found.sort(key=lambda pair: pair[0])
        yield from (kept for _, kept in found)


def _wire(kept: Kept) -> dict[str, Any]:
    spec, wants = kept.spec, kept.grant.wants
    run = spec.id.run
    return {
        "run": [run.project, run.domain, run.name],
        "path": list(spec.id.path),
        "attempt": spec.id.attempt,
        "template": base64.b64encode(spec.template.SerializeToString()).decode(),
        "uris": [spec.inputs, spec.output_prefix, spec.raw_output_prefix, spec.prev_checkpoint],
        "env": dict(spec.env),
        "wants": [wants.cpu, wants.memory, wants.gpu],
        "devices": list(kept.grant.devices),
    }


def _read(found: dict[str, Any]) -> Kept:
    inputs, output_prefix, raw_output_prefix, prev_checkpoint = found["uris"]
    spec = AttemptSpec(
        id=AttemptId(RunId(*found["run"]), tuple(found["path"]), found["attempt"]),
        template=core.TaskTemplate.FromString(base64.b64decode(found["template"])),
        inputs=inputs,
        output_prefix=output_prefix,
        raw_output_prefix=raw_output_prefix,
        env=found["env"],
        prev_checkpoint=prev_checkpoint,
    )
    return Kept(spec, Grant(Wants(*found["wants"]), tuple(found["devices"])))
