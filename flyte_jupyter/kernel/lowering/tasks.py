"""A task as the ``TaskSpec`` that admin registers."""

from __future__ import annotations

import hashlib

from flyte_jupyter._version import __version__
from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.authoring.policies import Cache
from flyte_jupyter.kernel.authoring.tasks import Task
from flyte_jupyter.kernel.lowering.interfaces import interface_message, resources_message
from flyte_jupyter.kernel.lowering.target import Code, Target

TASK_TYPE = "python-task"
NOTEBOOK = "flyte_jupyter.notebook"
"""The key of a task's configuration that tells notebooks of one name apart."""
_VERSION_LENGTH = 32
"""Hexadecimal digits of a version: 128 bits of the digest, short enough to read out."""


def lower_task(task: Task, target: Target, code: Code, version: str) -> admin.TaskSpec:
    """The specification of one version of a task."""
    template = core.TaskTemplate(
        id=core.Identifier(
            resource_type=core.ResourceType.TASK,
            project=target.project,
            domain=target.domain,
            name=code.entity_name(task.name),
            version=version,
        ),
        type=TASK_TYPE,
        metadata=_metadata(task, code),
        interface=interface_message(task.interface),
        container=_container(task, target, code),
        config=_config(task, target, code),
    )
    return admin.TaskSpec(template=template)


def task_version(task: Task, target: Target, code: Code) -> str:
    """The version of a task: a digest of its source, its options and the environment it is registered from.

    Neither the cell nor the notebook's place nor the place where the bundle is stored counts.
    """
    bare = Code(module=code.module, namespace=code.namespace, digest=code.digest)
    return digest_of(lower_task(task, target, bare, "").SerializeToString(deterministic=True), code)


def digest_of(message: bytes, code: Code) -> str:
    """A version from a serialised specification and its source's digest."""
    return hashlib.sha256(code.digest.encode() + b"\0" + message).hexdigest()[:_VERSION_LENGTH]


def cache_version(cache: Cache, code: Code) -> str:
    """The version that cached outputs are found under."""
    return cache.version or code.digest[:_VERSION_LENGTH]


def _metadata(task: Task, code: Code) -> core.TaskMetadata:
    policy = task.policy
    metadata = core.TaskMetadata(
        runtime=core.RuntimeMetadata(
            type=core.RuntimeMetadata.RuntimeType.FLYTE_SDK, version=__version__, flavor="python"
        ),
        retries=core.RetryStrategy(retries=policy.retries),
    )
    if policy.timeout is not None:
        metadata.timeout.FromTimedelta(policy.timeout)
    if policy.cache is not None:
        metadata.discoverable = True
        metadata.discovery_version = cache_version(policy.cache, code)
        metadata.cache_serializable = policy.cache.serialize
        metadata.cache_ignore_input_vars.extend(policy.cache.ignored_inputs)
    return metadata


def _container(task: Task, target: Target, code: Code) -> core.Container:
    return core.Container(
        image=target.image,
        args=[
            "flyte-jupyter-execute",
            "--inputs",
            "{{.input}}",
            "--output-prefix",
            "{{.outputPrefix}}",
            "--raw-output-data-prefix",
            "{{.rawOutputDataPrefix}}",
            "--checkpoint-path",
            "{{.checkpointOutputPrefix}}",
            "--prev-checkpoint",
            "{{.prevCheckpointPrefix}}",
            "--bundle",
            code.uri,
            "--entity",
            f"{code.module}:{task.name}",
        ],
        env=[
            core.KeyValuePair(key=name, value=task.environment[name])
            for name in sorted(task.environment)
        ],
        resources=resources_message(task.policy.requests, task.policy.limits),
    )


def _config(task: Task, target: Target, code: Code) -> dict[str, str]:
    config = {
        "flyte_jupyter.interpreter": target.interpreter,
        "flyte_jupyter.environment": target.environment,
    }
    if task.reuse:
        # In a cluster its attempts share a pod that is there already, and have a process each.
        config["flyte_jupyter.reuse"] = config["flyte_jupyter.warm"] = "true"
    if task.preload:
        config["flyte_jupyter.preload"] = ",".join(task.preload)
    if code.cell:
        config["flyte_jupyter.cell"] = code.cell
    if code.notebook:
        config[NOTEBOOK] = code.notebook
    return config
