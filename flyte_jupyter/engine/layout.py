"""Where a run's files stand below the blob root. Pure; the shape is Flyte's (propeller's metadata prefix)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from flyte_jupyter.idl.ids import AttemptId, Path, RunId


def run_prefix(root: str, run: RunId) -> str:
    """The folder of all metadata of one run."""
    return f"{root}/metadata/propeller/{run.project}-{run.domain}-{run.name}"


@lru_cache(maxsize=256)  # asked a dozen times for each node in turn
def node_prefix(root: str, run: RunId, path: Path) -> str:
    """The folder of one node: its inputs, and a folder an attempt."""
    return "/".join([run_prefix(root, run), *(str(part) for part in path), "data"])


def inputs_uri(root: str, run: RunId, path: Path) -> str:
    """The node's bound inputs, a serialised ``LiteralMap``."""
    return f"{node_prefix(root, run, path)}/inputs.pb"


def output_prefix(root: str, of: AttemptId) -> str:
    """Where an attempt writes ``outputs.pb``, ``error.pb`` and ``deck.html``."""
    return f"{node_prefix(root, of.run, of.path)}/{of.attempt}"


def outputs_uri(root: str, of: AttemptId) -> str:
    """The attempt's outputs, a serialised ``LiteralMap``."""
    return f"{output_prefix(root, of)}/outputs.pb"


def error_uri(root: str, of: AttemptId) -> str:
    """The attempt's error, a serialised ``ErrorDocument``."""
    return f"{output_prefix(root, of)}/error.pb"


def deck_uri(root: str, of: AttemptId) -> str:
    """The attempt's deck, a page of HTML."""
    return f"{output_prefix(root, of)}/deck.html"


def raw_output_prefix(root: str, of: AttemptId) -> str:
    """Where an attempt puts data too large for a literal: files, tables. Sharded as Flyte shards it."""
    name = f"{of.run.name}-{'-'.join(str(part) for part in of.path)}-{of.attempt}"
    shard = hashlib.sha256(f"{of.run}/{name}".encode()).hexdigest()[:2]
    return f"{root}/data/{of.run.project}/{of.run.domain}/{shard}/{name}"


def closure_uri(root: str, digest: str) -> str:
    """A compiled workflow closure, by its digest."""
    return f"{root}/metadata/admin/closures/{digest}"
