"""One object of an S3 store read or written by obstore, where it is installed: for what every attempt needs, at its start and at its end.

Importing s3fs takes longer than all the rest of a small attempt. Whatever is not plainly answered is left to it: its word is the last one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

_KNOWN = frozenset(
    {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION",
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    }
)  # fmt: skip
_OTHER_WAYS = ("AWS_", "FSSPEC_")
"""What variables begin with that may lead elsewhere, if they are none of the known."""
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_CONFIGURED = (".aws", ".config/fsspec")
_PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A bucket of a store with an address of its own (``AWS_ENDPOINT_URL``), and the keys to it."""

    bucket: Any

    def read(self, key: str) -> bytes | None:
        """An object's content; None when it is not plainly given."""
        import obstore

        try:
            return bytes(obstore.get(self.bucket, key).bytes())
        except Exception:  # noqa: BLE001  # whatever it is, who is asked next says it
            return None

    def write(self, key: str, data: bytes) -> bool:
        """Put an object. False when that was not plainly accepted."""
        import obstore

        try:
            obstore.put(self.bucket, key, data)
        except Exception:  # noqa: BLE001  # as above
            return False
        return True


def read(uri: str) -> bytes | None:
    """The content of an object, when this environment's store gives it plainly; None leaves the question to fsspec."""
    bucket, key = parts_of(uri) or ("", "")
    store = store_of(bucket) if bucket else None
    return store.read(key) if store else None


def write(uri: str, data: bytes) -> bool:
    """Put an object. False when it is fsspec's to do."""
    bucket, key = parts_of(uri) or ("", "")
    store = store_of(bucket) if bucket else None
    return store is not None and store.write(key, data)


def store_of(bucket: str, environ: Mapping[str, str] = os.environ) -> ObjectStore | None:
    """This bucket, if the environment says plainly where it is and who asks, and obstore is there; None leaves it to s3fs."""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not endpoint.startswith(("http://", "https://")) or not key or not secret:
        return None
    if _may_lead_elsewhere(environ) or find_spec("obstore") is None:
        return None
    from obstore.store import S3Store

    config: dict[str, Any] = {
        "endpoint": endpoint,
        "region": environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        "access_key_id": key,
        "secret_access_key": secret,
    }
    if token := environ.get("AWS_SESSION_TOKEN"):
        config["session_token"] = token
    client: dict[str, Any] = {"allow_http": True, "timeout": _PATIENCE}
    retries: dict[str, Any] = {"max_retries": 0}
    made: Any = S3Store
    try:
        found = made(bucket, config=config, client_options=client, retry_config=retries)
    except Exception:  # noqa: BLE001  # an image without certificates, for one
        return None
    return ObjectStore(found)


def parts_of(uri: str) -> tuple[str, str] | None:
    """The bucket and the key of an ``s3:`` URI; None for any other."""
    if not uri.startswith("s3://"):
        return None
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return (bucket, key) if bucket and key else None


def _may_lead_elsewhere(environ: Mapping[str, str]) -> bool:
    """Whether something that is not read here may say otherwise: another variable, a proxy, a configuration file."""
    for name in environ:
        if name.startswith(_OTHER_WAYS) and name not in _KNOWN:
            return True
        if name.lower() in _PROXIES and environ[name]:
            return True
    home = environ.get("HOME")
    return home is not None and any(os.path.exists(f"{home}/{name}") for name in _CONFIGURED)  # noqa: PTH110  # every attempt waits for this
