"""The containers beside a raw container that bring its inputs and carry away its outputs (Flyte's copilot).

The uploader is an init container that goes on (``restartPolicy: Always``): Kubernetes tells it by SIGTERM that all others have
ended. The downloader comes after it and waits until it listens, so that not even the shortest task can end unheard.
"""

from __future__ import annotations

import base64
import copy

from flyte_jupyter.engine.pods.containers import environment
from flyte_jupyter.engine.pods.gaps import Filling, Gap
from flyte_jupyter.engine.pods.manifests import Manifest, PodRefused
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core

DOWNLOADER = "flyte-copilot-downloader"
UPLOADER_CONTAINER = "flyte-copilot-uploader"
INPUTS = "/var/flyte/inputs"
OUTPUTS = "/var/flyte/outputs"
_INPUTS_VOLUME = "flyte-inputs"
_OUTPUTS_VOLUME = "flyte-outputs"
_SIGNS_VOLUME = "flyte-copilot"
_SIGNS = "/var/flyte/copilot"


def data_config(template: core.TaskTemplate) -> core.DataLoadingConfig | None:
    """How a raw container wants its data; None when it deals with that itself."""
    target = template.WhichOneof("target")
    if target not in ("container", "k8s_pod"):
        return None
    config: core.DataLoadingConfig = getattr(template, target).data_config
    return config if config.enabled else None


def with_copilot(
    spec: Manifest, attempt: AttemptSpec, settings: PodSettings, primary: str
) -> Manifest:
    """A pod's ``spec`` with both side-cars, if the task wants them, with gaps. Raises `PodRefused` when there is no image for them."""
    config = data_config(attempt.template)
    if config is None:
        return spec
    if not settings.copilot.image:
        text = (
            f"Task {attempt.template.id.name} is a raw container whose data this platform has to carry, "
            "and no image for that is configured (copilot.image)."
        )
        raise PodRefused("CopilotMissing", text)
    inputs = _mount(_INPUTS_VOLUME, config.input_path or INPUTS)
    outputs = _mount(_OUTPUTS_VOLUME, config.output_path or OUTPUTS)
    if _within(inputs["mountPath"], outputs["mountPath"]):
        text = f"inputs at {inputs['mountPath']} and outputs at {outputs['mountPath']} lie in each other"
        raise PodRefused("BadTaskSpecification", f"Task {attempt.template.id.name}: {text}.")
    made = copy.deepcopy(spec)
    for container in made["containers"]:
        if container.get("name") == primary:
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), inputs, outputs]
    made["initContainers"] = [
        _uploader(attempt, settings, outputs),
        _downloader(attempt, settings, inputs, config),
        *(made.get("initContainers") or ()),
    ]
    volumes = [_volume(n) for n in (_INPUTS_VOLUME, _OUTPUTS_VOLUME, _SIGNS_VOLUME)]
    made["volumes"] = [*(made.get("volumes") or ()), *volumes]
    made["terminationGracePeriodSeconds"] = settings.copilot.upload_seconds
    return made


def _downloader(
    attempt: AttemptSpec, settings: PodSettings, inputs: Manifest, config: core.DataLoadingConfig
) -> Manifest:
    args: list[str | Gap] = [
        "download",
        "--inputs", _inputs,
        "--folder", inputs["mountPath"],
        "--format", core.DataLoadingConfig.LiteralMapFormat.Name(config.format),
        "--after", f"{_SIGNS}/ready",
    ]  # fmt: skip
    if config.io_strategy.download_mode == core.IOStrategy.DO_NOT_DOWNLOAD:
        args += ["--keep-uris", "true"]
    return _sidecar(DOWNLOADER, args, [inputs], attempt, settings)


def _uploader(attempt: AttemptSpec, settings: PodSettings, outputs: Manifest) -> Manifest:
    args: list[str | Gap] = [
        "upload",
        "--folder", outputs["mountPath"],
        "--interface", _interface(attempt),
        "--output-prefix", _output_prefix,
        "--raw-output-prefix", _raw_output_prefix,
        "--ready", f"{_SIGNS}/ready",
    ]  # fmt: skip
    made = _sidecar(UPLOADER_CONTAINER, args, [outputs], attempt, settings)
    return made | {"restartPolicy": "Always"}


def _sidecar(
    name: str,
    args: list[str | Gap],
    mounts: list[Manifest],
    attempt: AttemptSpec,
    settings: PodSettings,
) -> Manifest:
    copilot = settings.copilot
    made: Manifest = {
        "name": name,
        "image": copilot.image,
        "command": list(copilot.command),
        "args": args,
        "env": environment([], attempt, settings, own=False),
        "resources": {
            "requests": {"cpu": copilot.cpu, "memory": copilot.memory},
            "limits": {"cpu": copilot.most_cpu, "memory": copilot.memory},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, _mount(_SIGNS_VOLUME, _SIGNS)],
    }
    if settings.image_pull_policy:
        made["imagePullPolicy"] = settings.image_pull_policy
    return made


def _inputs(of: Filling) -> str:
    return of.spec.inputs


def _output_prefix(of: Filling) -> str:
    return of.spec.output_prefix


def _raw_output_prefix(of: Filling) -> str:
    return of.spec.raw_output_prefix


def _interface(attempt: AttemptSpec) -> str:
    """The task's interface, without prose, as a word of a command line."""
    bare = core.TypedInterface()
    bare.CopyFrom(attempt.template.interface)
    for variables in (bare.inputs.variables, bare.outputs.variables):
        for variable in variables.values():
            variable.description = ""
    return base64.b64encode(bare.SerializeToString(deterministic=True)).decode()


def _mount(volume: str, path: str) -> Manifest:
    return {"name": volume, "mountPath": path.rstrip("/") or "/"}


def _volume(name: str) -> Manifest:
    return {"name": name, "emptyDir": {}}


def _within(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
