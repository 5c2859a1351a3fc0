"""Where things stand in the API: paths of collections and objects."""

from __future__ import annotations

from flyte_jupyter.engine.adapters.kubernetes.reflect import Key

FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409
NAMESPACES = "/api/v1/namespaces"


def pods(namespace: str = "") -> str:
    """The pods of a namespace, or of the cluster."""
    return f"{NAMESPACES}/{namespace}/pods" if namespace else "/api/v1/pods"


def pod(key: Key) -> str:
    """One pod."""
    namespace, name = key
    return f"{pods(namespace)}/{name}"


def pod_log(key: Key) -> str:
    """The logs of a pod's containers."""
    return f"{pod(key)}/log"
