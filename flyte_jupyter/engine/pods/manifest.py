"""The pod of an attempt."""

from __future__ import annotations

from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core


def pod_for(
    spec: AttemptSpec,
    settings: PodSettings,
    *,
    inputs: core.LiteralMap | None = None,
    owner: Manifest | None = None,
) -> Manifest:
    """The whole manifest. Equal arguments give equal manifests. Raises `PodRefused`, before anything was asked of a cluster.

    `inputs` is needed when `command.wants_inputs(spec.template)`; `owner` is an entry of ``metadata.ownerReferences``.
    """
    raise NotImplementedError
