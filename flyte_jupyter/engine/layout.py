"""Where a run's files stand below the blob root. Pure; the shape is Flyte's (propeller's metadata prefix)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from flyte_jupyter.idl.ids import AttemptId, Path, RunId

LONGEST_RAW_NAME = 50
"""Longer names of raw output folders are hashed (Flyte: ``taskexec_context.go``)."""


@lru_cache(maxsize=64)
def run_prefix(root: str, run: RunId) -> str:
    """The folder of all metadata of one run."""
    return f"{root}/metadata/propeller/{run.project}-{run.domain}-{run.name}"


@lru_cache(maxsize=2048)  # asked a dozen times for each node from when it begins until it has ended
def node_prefix(root: str, run: RunId, path: Path) -> str:
    """The folder of one node: its inputs, and a folder an attempt; what runs inside it stands in its attempt's folder."""
    if len(path) == 1:
        return f"{run_prefix(root, run)}/{path[0]}/data"
    parts = [run_prefix(root, run)]
    last = len(path) - 1
    for place, part in enumerate(path):
        if isinstance(part, str):
            parts += [part, "data"]
        elif place < last:
            parts.append(str(part))
        else:
            parts += ["0", str(part)]
    return "/".join(parts)


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


def futures_uri(root: str, of: AttemptId) -> str:
    """The graph that a dynamic task's attempt left, a serialised ``DynamicJobSpec``."""
    return f"{output_prefix(root, of)}/futures.pb"


def expansion_uri(root: str, of: AttemptId) -> str:
    """The same graph compiled, a serialised ``CompiledWorkflowClosure``."""
    return f"{output_prefix(root, of)}/futures_compiled.pb"


def raw_output_prefix(root: str, of: AttemptId, instead: str = "") -> str:
    """Where an attempt puts data too large for a literal: files, tables. Sharded as Flyte shards it.

    `instead` is the execution's own place for such data; without one it is below the blob root.
    """
    # Not `path_text`: of many thousand nodes deep inside two may have one id.
    (project, domain, run), path, attempt = of
    node = str(path[0]) if len(path) == 1 else "-".join(map(str, path))
    name = f"{run}-{node}-{attempt}"
    digest = hashlib.sha256(f"{project}/{domain}/{run}/{name}".encode()).hexdigest()
    if len(name) > LONGEST_RAW_NAME:
        name = f"f{digest[: LONGEST_RAW_NAME - 1]}"
    place = instead.rstrip("/") or f"{root}/data/{project}/{domain}"
    return f"{place}/{digest[:2]}/{name}"


def checkpoint_uri(raw_output_prefix: str) -> str:
    """Where an attempt keeps its checkpoint, by its raw output prefix."""
    return f"{raw_output_prefix}/_flytecheckpoints"
