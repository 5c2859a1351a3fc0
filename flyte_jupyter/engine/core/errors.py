"""What the machine raises: only for records that it cannot read. Anything it hears has an answer."""

from __future__ import annotations


class CoreError(Exception):
    """Any error of the machine."""


class UnreadableRecord(CoreError):
    """Stored bytes are not a record that this version can read."""
