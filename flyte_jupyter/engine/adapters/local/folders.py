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

_END = ".json"


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
    """Attempts below one root: ``<key>.json``, a description, and ``<key>``, the attempt's working directory."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root
        self._last: tuple[core.TaskTemplate, str] | None = None

    def work(self, key: str) -> Path:
        """The attempt's own working directory."""
        return self._root / key

    def keep(self, key: str, kept: Kept) -> None:
        """Make the working directory, and write the description. Raises `OSError`."""
        # Strings: an attempt waits for this.
        folder, data = f"{self._root}/{key}", self._wire(kept)
        try:
            os.mkdir(folder)  # noqa: PTH102
        except FileExistsError:
            self._replace(f"{folder}{_END}", data)
            return
        except OSError:
            self.work(key).mkdir(parents=True, exist_ok=True)
        try:
            # One that is cut short was not accepted yet.
            with open(f"{folder}{_END}", "wb") as file:  # noqa: PTH123
                file.write(data)
        except OSError:
            self.forget(key)
            raise

    def _replace(self, path: str, data: bytes) -> None:
        with open(f"{path}.part", "wb") as file:  # noqa: PTH123
            file.write(data)
        os.replace(f"{path}.part", path)  # noqa: PTH105

    def forget(self, key: str) -> bool:
        """Forget the attempt, and remove its folder if nothing is left in it; False when `clear` has to."""
        folder = f"{self._root}/{key}"
        # The description goes first: a removal that is cut short is not taken for an attempt.
        with suppress(OSError):
            os.unlink(f"{folder}{_END}")  # noqa: PTH108
        try:
            os.rmdir(folder)  # noqa: PTH106
        except OSError:
            return False
        return True

    def clear(self, key: str) -> None:
        """Remove whatever a forgotten attempt has left."""
        shutil.rmtree(self._root / key, ignore_errors=True)

    def all(self) -> Iterator[Kept]:
        """Everything kept, oldest first. What cannot be read was never accepted, and is removed."""
        found, good = [], set()
        templates: dict[str, core.TaskTemplate] = {}
        for path in self._root.glob(f"*{_END}"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                kept = _read(json.loads(path.read_bytes()), templates)
                found.append((path.stat().st_mtime_ns, kept))
                good.add(path.name.removesuffix(_END))
        for path in list(self._root.iterdir()):
            if path.name.removesuffix(_END) not in good:
                with suppress(OSError):
                    path.unlink() if path.is_file() else shutil.rmtree(path)
        found.sort(key=lambda pair: pair[0])
        yield from (kept for _, kept in found)

    def _wire(self, kept: Kept) -> bytes:
        return json.dumps(_described(kept, self._text_of(kept.spec.template))).encode()

    def _text_of(self, template: core.TaskTemplate) -> str:
        """The template as text. The items of a map task have one and the same, so the last one is remembered."""
        if self._last is None or self._last[0] is not template:
            self._last = template, base64.b64encode(template.SerializeToString()).decode()
        return self._last[1]


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
    }


def _read(found: dict[str, Any], templates: dict[str, core.TaskTemplate]) -> Kept:
    """`templates` are those that were read already: many attempts share one."""
    text = found["template"]
    if text not in templates:
        templates[text] = core.TaskTemplate.FromString(base64.b64decode(text))
    inputs, output_prefix, raw_output_prefix, prev_checkpoint = found["uris"]
    workflow, node, index = found["names"]
    spec = AttemptSpec(
        id=AttemptId(RunId(*found["run"]), tuple(found["path"]), found["attempt"]),
        template=templates[text],
        inputs=inputs,
        output_prefix=output_prefix,
        raw_output_prefix=raw_output_prefix,
        env=found["env"],
        prev_checkpoint=prev_checkpoint,
        workflow=workflow,
        node=node,
        index=index,
    )
    return Kept(spec, Grant(Wants(*found["wants"]), tuple(found["devices"])))
