"""Data of a launch: uploaded where the control plane says."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from flyte_jupyter.kernel.client.admin import Client
from flyte_jupyter.kernel.types.storage import StorageError, fetch


class UploadStorage:
    """The storage of a kernel that launches: uploads through the control plane, reads by URI.

    Downloaded files stand in temporary folders that live as long as this object.
    """

    def __init__(self, client: Client, project: str, domain: str) -> None:
        self._client = client
        self._project = project
        self._domain = domain
        self._folder: Path | None = None
        self._folders = 0

    def put(self, local: Path, name: str) -> str:
        """Upload a file, a part at a time, and return its URI."""
        try:
            with local.open("rb") as file:
                return self._client.upload(self._project, self._domain, file, name)
        except OSError as error:
            raise StorageError(f"could not read {local}: {error}") from error

    def get(self, uri: str, local: Path) -> None:
        """Copy the file that a URI names to a local path."""
        fetch(uri, local)

    def scratch(self) -> Path:
        """A new empty folder."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="flyte-jupyter-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folders += 1
        folder = self._folder / str(self._folders)
        folder.mkdir()
        return folder
