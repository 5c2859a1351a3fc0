"""A task's own pod comes from outside: whatever stands in it, a pod is made of it, or it is refused with what is wrong."""

import copy

import pytest
from pod_attempts import pod_task, refusal_of

from flyte_jupyter.engine.pods.manifest import refusal
from flyte_jupyter.engine.pods.settings import Allowed, PodSettings

HANDLER = {"httpGet": {"port": 80}, "exec": {"command": ["true"]}}
CONTEXT = {
    "capabilities": {"add": [], "drop": ["NET_RAW"]},
    "seccompProfile": {"type": "RuntimeDefault"},
    "appArmorProfile": {"type": "RuntimeDefault"},
    "seLinuxOptions": {"type": "container_t"},
    "windowsOptions": {"hostProcess": False},
    "runAsUser": 1000,
}
MAIN = {
    "name": "main",
    "image": "example.org/task:1",
    "command": ["run"],
    "args": ["{{.outputPrefix}}"],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
    "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}],
    "volumeDevices": [{"name": "d", "devicePath": "/d"}],
    "ports": [{"containerPort": 80}],
    "securityContext": CONTEXT,
    "livenessProbe": HANDLER,
    "lifecycle": {"preStop": HANDLER},
}
NODES = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "Exists"}]}]}
SPEC = {
    "containers": [MAIN, {"name": "side", "image": "example.org/side:1"}],
    "initContainers": [{**MAIN, "name": "before"}],
    "volumes": [
        {"name": "v", "emptyDir": {}},
        {"name": "h", "hostPath": {"path": "/data"}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "c"}}]}},
    ],
    "tolerations": [{"key": "k"}],
    "nodeSelector": {"a": "b"},
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": NODES}},
    "imagePullSecrets": [{"name": "s"}],
    "serviceAccountName": "default",
    "securityContext": {**CONTEXT, "sysctls": [{"name": "net.ipv4.tcp_syncookies"}]},
}
SETTINGS = PodSettings(
    templates={"base": {"spec": {**SPEC, "containers": [{**MAIN, "name": "primary"}]}}},
    default_template="base",
    tolerations=[{"key": "ours"}],
    node_selector={"ours": "yes"},
    non_interruptible_requirement={"key": "i", "operator": "DoesNotExist"},
    image_pull_secrets=("ours",),
    allowed=Allowed(host_paths=frozenset({"/data"})),
)
"""So that what tasks say meets what the platform says."""
LEFT_OUT = object()
ANYTHING = ("x", None, [7], {"x": []}, LEFT_OUT)


def places(value, at=()):
    """The way to everything in it."""
    if at:
        yield at
    pairs = value.items() if isinstance(value, dict) else ()
    for key, inside in enumerate(value) if isinstance(value, list) else pairs:
        yield from places(inside, (*at, key))


def with_other(at, other):
    spec = copy.deepcopy(SPEC)
    inside = spec
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = other
    if other is LEFT_OUT:
        del inside[at[-1]]
    return spec


def task_of(spec):
    task = pod_task(spec)
    task.security_context.secrets.add(group="g", key="k")
    task.extended_resources.gpu_accelerator.device = "a100"
    task.extended_resources.shared_memory.size_limit = "1Gi"
    return task


def test_whatever_stands_in_a_pod_there_is_an_answer():
    assert refusal(task_of(SPEC), SETTINGS) is None
    for at in places(SPEC):
        for other in ANYTHING:
            answer = refusal(task_of(with_other(at, other)), SETTINGS)
            assert answer is None or answer, (at, other)


@pytest.mark.parametrize(
    ("at", "other", "what"),
    [
        (("volumes", 0), "x", "spec.volumes[0] is 'x', and not an object"),
        (("containers",), {"main": {}}, "spec.containers is an object, and not a list"),
        (("containers", 0, "env"), [["A", "b"]], "spec.containers[0].env[0] is a list, and not an object"),
        (("containers", 0, "args"), [None], "spec.containers[0].args[0] is nothing, and not a word or number"),
        (("securityContext",), 7, "spec.securityContext is 7, and not an object"),
    ],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused_by_its_field(at, other, what):
    code, message = refusal_of(pod_task(with_other(at, other)), SETTINGS)
    assert code == "BadTaskSpecification"
    assert what in message


def test_a_field_that_is_null_is_as_if_it_were_left_out():
    nulls = {"volumes": None, "affinity": {"nodeAffinity": None}, "securityContext": None}
    spec = {**SPEC, **nulls, "containers": [{**MAIN, "env": None, "volumeMounts": None}]}
    assert refusal(pod_task(spec), SETTINGS) is None
