"""Where the secrets of tasks stand on this machine. An attempt's own process reads their files: values go through nobody else's hands.

A task finds them as flytekit looks for them: in an environment variable ``_FSEC_<GROUP>_<KEY>``, or in a file ``<group>/<key>`` below
the folder that ``FLYTE_SECRETS_DEFAULT_DIR`` names.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flyte_jupyter.engine.adapters.local.templates import once_a_template
from flyte_jupyter.engine.secrets import (
    FOLDER,
    directions,
    file_of,
    is_variable,
    is_word,
    parts_of,
    variable_of,
    variables_of,
)
from flyte_jupyter.idl import core

_FOLDER = ".flyte-secrets"
_READ = "_FLYTE_JUPYTER_SECRETS"
"""Tells an attempt's process what to read; it is gone before the task's code runs."""
_OTHERS = 0o077


class SecretRefused(Exception):
    """An attempt cannot have a secret that its task asks for; the message says which, and what to do. `code` names the failure."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Given:
    """What an attempt is given: `variables` as they are, those to `read` by their files, and the `files` themselves by their names.

    Names of files are relative to the folder where the task looks for them.
    """

    variables: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """All variables that the task will see."""
        return self.variables.keys() | self.read.keys()

    def environment(self, work: str = "") -> dict[str, str]:
        """The variables that its process is started with; `work` is the attempt's folder, if its files are to be linked there."""
        if not self.names:
            return {}
        links = {f"{work}/{_FOLDER}/{name}": path for name, path in self.files.items()}
        order = {"variables": self.read, "links": links if work else {}}
        return {**self.variables, _READ: json.dumps(order)}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The user's secrets: files ``<group>/<key>`` below `folder`, then variables of `environ`, the control plane's own."""

    folder: Path
    environ: Mapping[str, str]

    def problem_with(self, template: core.TaskTemplate) -> SecretRefused | None:
        """Why the task cannot have what it asks for; None when it can."""
        try:
            self.of(template, "")
        except SecretRefused as e:
            return e
        return None

    def of(self, template: core.TaskTemplate, work: str, *, contained: bool = False) -> Given:
        """What an attempt in the folder `work`, or in a container, is given. Looks at files and reads none. Raises `SecretRefused`."""
        given = Given()
        if not are_asked(template):
            return given
        place = FOLDER if contained else f"{work}/{_FOLDER}"
        given.variables = directions(place)
        for secret in template.security_context.secrets:
            _check(secret)
            self._give(secret, given, place, contained=contained)
        return given

    def _give(self, secret: core.Secret, given: Given, place: str, *, contained: bool) -> None:
        """As Flyte does; where it leaves the choice (`ANY`) in both ways, of which a variable with a name of its own is the file's."""
        kind, own = secret.mount_requirement, secret.env_var
        variable = variable_of(secret)
        names = variables_of(secret) if kind == core.Secret.ENV_VAR else [variable]
        wants_file = kind == core.Secret.FILE or (kind == core.Secret.ANY and bool(own))
        path = self.folder.joinpath(*parts_of(secret))
        if not wants_file and not os.path.lexists(path) and variable in self.environ:
            given.variables |= dict.fromkeys(names, self.environ[variable])
            return
        self._look_at(path, secret, "" if wants_file else variable)
        # Engines keep a container's variables on their disk, podman for longer than the container: only who insists has one there.
        if kind == core.Secret.ENV_VAR or (kind == core.Secret.ANY and not contained):
            given.read |= dict.fromkeys(names, str(path))
        if kind != core.Secret.ENV_VAR:
            name = file_of(secret)
            given.files[name] = str(path)
            if own:
                given.variables[own] = f"{place}/{name}"

    def _look_at(self, path: Path, secret: core.Secret, variable: str) -> None:
        """Refuse a file that is not there, or not its owner's alone."""
        name, file = "/".join(parts_of(secret)), shlex.quote(str(path))
        try:
            found = path.stat()
        except FileNotFoundError:
            folder = shlex.quote(str(path.parent))
            text = (
                f"The secret {name} is not on this machine: there is no file {path}. Make it with `(umask 077; mkdir -p {folder} && "
                f"cat > {file})`, where you type the value and end it with Ctrl-D, and launch again"
            )
            text += (
                f"; or start the control plane with the variable {variable}." if variable else "."
            )
            raise SecretRefused("SecretMissing", text) from None
        except OSError as e:
            text = f"The secret {name} cannot be looked at: {path}: {e.strerror}. Mend that, and launch again."
            raise SecretRefused("SecretMissing", text) from e
        if not stat.S_ISREG(found.st_mode):
            text = f"The secret {name} has to be a file, and {path} is none. Put a file there, and launch again."
            raise SecretRefused("SecretMissing", text)
        if found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
            mode = stat.filemode(found.st_mode)
            text = (
                f"The secret {name} is refused, since its file is not yours alone: {path} belongs to user {found.st_uid} and has mode "
                f"{mode}. Close it to others with `chown {os.geteuid()} {file} && chmod 600 {file}`, give it a new value if they may "
                "have read it, and launch again."
            )
            raise SecretRefused("SecretExposed", text)


@once_a_template
def are_asked(template: core.TaskTemplate) -> bool:
    """Whether the task asks for secrets."""
    return bool(template.security_context.secrets)


def _check(secret: core.Secret) -> None:
    for what, word in (("group", secret.group), ("key", secret.key)):
        if not is_word(word):
            text = f"The task asks for a secret with {what} {word!r}, which can name no folder or file."
            break
    else:
        if secret.group_version and not is_word(secret.group_version):
            text = f"The task asks for a secret with version {secret.group_version!r}, which can name no folder."
        elif secret.env_var and not is_variable(secret.env_var):
            text = f"The task asks for a secret with variable {secret.env_var!r}, which is no name of a variable."
        else:
            return
    raise SecretRefused("BadTaskSpecification", f"{text} Name it otherwise, and register again.")
