"""URLs that carry their own permission: an HMAC over method, key and expiry."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, unquote, urlencode

from flyte_jupyter.server.admin.errors import InvalidArgument, PermissionDenied

PATH = "/x/v1/blobs/"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and checks blob URLs. Keys are relative to the blob root, ``/`` between their parts."""

    secret: bytes = field(repr=False)

    def url(self, base: str, method: str, key: str, expires: datetime, *, md5: bytes = b"") -> str:
        """A URL below `base` good for one method on one key until `expires`; an upload may be tied to its MD5."""
        query = {"expires": str(int(expires.timestamp()))}
        if md5:
            query["md5"] = b64encode(md5).decode()
        query["signature"] = self._signature(method, key, query["expires"], query.get("md5", ""))
        return f"{base}{PATH}{quote(key)}?{urlencode(query)}"

    def check(self, method: str, key: str, query: Mapping[str, str], now: datetime) -> None:
        """Whether a request may go on. Raises `PermissionDenied` when it is unsigned, altered or late."""
        expires, given = query.get("expires", ""), query.get("signature", "")
        wanted = self._signature(method, key, expires, query.get("md5", ""))
        if not hmac.compare_digest(wanted.encode(), given.encode()):
            raise PermissionDenied("The URL's signature is not right: ask for a new location")
        if now.timestamp() > int(expires):
            raise PermissionDenied("The URL has expired: ask for a new location")

    def _signature(self, method: str, key: str, expires: str, md5: str) -> str:
        said = f"{method}\n{key}\n{expires}\n{md5}"
        return hmac.new(self.secret, said.encode(), hashlib.sha256).hexdigest()


def safe_key(raw: str, *, encoded: bool = True) -> str:
    """A key, percent-decoded once if it is `encoded`, and proven to stay below the root.

    Raises:
        InvalidArgument: it is absolute, climbs, or holds an empty part, a control character or a scheme.
    """
    try:
        key = unquote(raw, errors="strict") if encoded else raw
    except UnicodeDecodeError as error:
        raise InvalidArgument("A blob's key is UTF-8") from error
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidArgument("A blob's key is a relative path without empty parts, '.' or '..'")
    if any(c < " " or c in "\\\x7f" for c in key) or ":" in parts[0]:
        raise InvalidArgument("A blob's key holds no control characters, backslashes or schemes")
    return key
