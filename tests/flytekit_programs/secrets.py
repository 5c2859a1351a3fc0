"""Tasks that ask for secrets. They tell whether they have the right ones, and none of them."""

import hashlib

from flytekit import Secret, current_context, map_task, task, workflow

PASSWORD = Secret(group="db", key="password", mount_requirement=Secret.MountType.ENV_VAR)
KEY = Secret(group="Db", key="Key", group_version="2", mount_requirement=Secret.MountType.FILE)
EITHER = Secret(group="db", key="either")
ABSENT = Secret(group="db", key="absent")


def digest(*name: str) -> str:
    """Enough of a secret to know it by, and nothing that gives it away."""
    value = current_context().secrets.get(*name)
    return hashlib.sha256(value.encode()).hexdigest()[:8]


@task(secret_requests=[PASSWORD, KEY, EITHER])
def digests() -> str:
    return " ".join([digest("db", "password"), digest("Db", "Key", "2"), digest("db", "either")])


@task(secret_requests=[PASSWORD])
def item(x: int) -> str:
    return f"{x} {digest('db', 'password')}"


@task
def stranger() -> str:
    try:
        return digest("db", "password")
    except ValueError:
        return "none"


@task(retries=3, secret_requests=[ABSENT])
def lacking() -> str:
    return digest("db", "absent")


@workflow
def told() -> tuple[str, str, list[str]]:
    return digests(), stranger(), map_task(item)(x=[1, 2])


@workflow
def untold() -> str:
    return lacking()
