"""Where a task finds its secrets: in variables and files, as flytekit looks for them. Pure, for every executor."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flyte_jupyter.idl import core

FOLDER = "/etc/flyte/secrets"
"""Where the files of secrets are in a container."""
_PREFIX = "_FSEC_"
_WORD = re.compile(r"[A-Za-z0-9._-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def directions(folder: str) -> dict[str, str]:
    """The variables that tell flytekit where to look, with files below `folder`."""
    return {
        "FLYTE_SECRETS_ENV_PREFIX": _PREFIX,
        "FLYTE_SECRETS_DEFAULT_DIR": folder,
        "FLYTE_SECRETS_FILE_PREFIX": "",
    }


def parts_of(secret: core.Secret) -> list[str]:
    """The words that name a secret: group, version if it has one, key."""
    return [part for part in (secret.group, secret.group_version, secret.key) if part]


def variable_of(secret: core.Secret) -> str:
    """The variable in which flytekit looks for its value."""
    return _PREFIX + "_".join(parts_of(secret)).upper()


def variables_of(secret: core.Secret) -> Sequence[str]:
    """All variables that have the value of a secret which asks to be one: flytekit's, and its author's own."""
    # As Flyte has it: flytekit looks for the one, the task's author perhaps for the other.
    return [variable_of(secret), secret.env_var] if secret.env_var else [variable_of(secret)]


def file_of(secret: core.Secret) -> str:
    """The name of its file below the folder where flytekit looks."""
    return "/".join(parts_of(secret)).lower()


def is_word(text: str) -> bool:
    """Whether a file or a folder can be called so."""
    return _WORD.fullmatch(text) is not None and text not in (".", "..")


def is_variable(text: str) -> bool:
    """Whether an environment variable can be called so."""
    return _VARIABLE.fullmatch(text) is not None
