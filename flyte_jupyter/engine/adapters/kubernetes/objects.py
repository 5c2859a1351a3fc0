"""Where things stand in the API: paths of collections and objects; and how one is deleted."""

from __future__ import annotations

from urllib.parse import quote

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key

FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409
NAMESPACES = "/api/v1/namespaces"


def pods(namespace: str = "") -> str:
    """The pods of a namespace, or of the cluster."""
    return f"{NAMESPACES}/{_part(namespace)}/pods" if namespace else "/api/v1/pods"


def pod(key: Key) -> str:
    """One pod."""
    namespace, name = key
    return f"{pods(namespace)}/{_part(name)}"


def pod_template(key: Key) -> str:
    """One pod template."""
    namespace, name = key
    return f"{NAMESPACES}/{_part(namespace)}/podtemplates/{_part(name)}"


def pod_log(key: Key) -> str:
    """The logs of a pod's containers."""
    return f"{pod(key)}/log"


def events(namespace: str) -> str:
    """What has happened to the objects of a namespace."""
    return f"{NAMESPACES}/{_part(namespace)}/events"


def _part(name: str) -> str:
    """One part of a path, whatever stands in the name: an HTTP client follows dots, and a question mark ends the path."""
    return quote(name, safe="")


async def delete(api: Api, path: str, uid: str, grace: int | None) -> bool:
    """Have the object with this uid deleted. False when it is not there any more; raises what may pass."""
    try:
        await api.delete(path, uid=uid, grace=grace)
    except Refused as error:
        if error.status == NOT_FOUND:
            return False
        if error.status == CONFLICT and not await is_there(api, path, uid):
            return False  # another object has its name
        raise
    return True


async def is_there(api: Api, path: str, uid: str) -> bool:
    """Whether the object with this uid exists. Raises what may pass."""
    try:
        return bool((await api.read(path))["metadata"]["uid"] == uid)
    except Refused as error:
        if error.status == NOT_FOUND:
            return False
        raise
