"""What a task's pod template may not ask for is refused by its field, unless the installation allows it."""

from dataclasses import replace

import pytest
from pod_attempts import attempt, body_of, pod_task, refusal_of

from flyte_jupyter.engine.pods.manifest import pod_for
from flyte_jupyter.engine.pods.manifests import PodRefused
from flyte_jupyter.engine.pods.settings import Allowed, PodSettings

NOBODY = Allowed()


def with_container(**container):
    return {
        "containers": [{"name": "main", "image": "i"}, {"name": "side", "image": "s", **container}]
    }


def with_context(**context):
    return with_container(securityContext=context)


def with_spec(**spec):
    return {"containers": [{"name": "main", "image": "i"}], **spec}


def allowing(**fields):
    return PodSettings(allowed=replace(NOBODY, **fields))


PRIVILEGED = {"privileged": True}
HOST = {"host_namespaces": True}
CASES = [
    (with_spec(hostNetwork=True), "spec.hostNetwork", HOST),
    (with_spec(hostPID=True), "spec.hostPID", HOST),
    (with_spec(hostIPC=True), "spec.hostIPC", HOST),
    (
        with_container(ports=[{"containerPort": 1, "hostPort": 80}]),
        "spec.containers[1].ports[0].hostPort",
        HOST,
    ),
    (
        with_container(livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
        "spec.containers[1].livenessProbe.httpGet.host",
        HOST,
    ),
    (
        with_container(lifecycle={"postStart": {"tcpSocket": {"host": "10.0.0.1", "port": 1}}}),
        "spec.containers[1].lifecycle.postStart.tcpSocket.host",
        HOST,
    ),
    (with_context(privileged=True), "spec.containers[1].securityContext.privileged", PRIVILEGED),
    (
        with_context(allowPrivilegeEscalation=True),
        "spec.containers[1].securityContext.allowPrivilegeEscalation",
        PRIVILEGED,
    ),
    (with_context(runAsUser=0), "spec.containers[1].securityContext.runAsUser", PRIVILEGED),
    (
        with_context(runAsNonRoot=False),
        "spec.containers[1].securityContext.runAsNonRoot",
        PRIVILEGED,
    ),
    (
        with_context(procMount="Unmasked"),
        "spec.containers[1].securityContext.procMount",
        PRIVILEGED,
    ),
    (
        with_context(seccompProfile={"type": "Unconfined"}),
        "spec.containers[1].securityContext.seccompProfile.type",
        PRIVILEGED,
    ),
    (
        with_context(appArmorProfile={"type": "Unconfined"}),
        "spec.containers[1].securityContext.appArmorProfile.type",
        PRIVILEGED,
    ),
    (
        with_context(seLinuxOptions={"type": "spc_t"}),
        "spec.containers[1].securityContext.seLinuxOptions",
        PRIVILEGED,
    ),
    (
        with_context(windowsOptions={"hostProcess": True}),
        "spec.containers[1].securityContext.windowsOptions.hostProcess",
        PRIVILEGED,
    ),
    (
        with_context(capabilities={"add": ["NET_ADMIN"]}),
        "spec.containers[1].securityContext.capabilities.add",
        {"capabilities": frozenset({"NET_ADMIN"})},
    ),
    (with_spec(securityContext={"runAsUser": 0}), "spec.securityContext.runAsUser", PRIVILEGED),
    (
        with_spec(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        "spec.securityContext.sysctls[0]",
        PRIVILEGED,
    ),
    (
        with_spec(
            initContainers=[{"name": "a", "image": "i", "securityContext": {"privileged": True}}]
        ),
        "spec.initContainers[0].securityContext.privileged",
        PRIVILEGED,
    ),
    (with_spec(nodeName="control-plane"), "spec.nodeName", PRIVILEGED),
    (
        with_spec(serviceAccountName="admin"),
        "spec.serviceAccountName",
        {"service_accounts": frozenset({"admin"})},
    ),
    (
        with_spec(serviceAccount="admin"),
        "spec.serviceAccount",
        {"service_accounts": frozenset({"*"})},
    ),
    (
        with_spec(automountServiceAccountToken=True),
        "spec.automountServiceAccountToken",
        {"tokens": True},
    ),
    (
        with_spec(
            volumes=[
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
            ]
        ),
        "spec.volumes[0].projected.sources[0].serviceAccountToken",
        {"tokens": True},
    ),
    (
        with_spec(volumes=[{"name": "h", "hostPath": {"path": "/data/in"}}]),
        "spec.volumes[0].hostPath.path",
        {"host_paths": frozenset({"/data"})},
    ),
    (
        with_container(
            volumeMounts=[{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]
        ),
        "spec.containers[1].volumeMounts[0].mountPropagation",
        PRIVILEGED,
    ),
]


@pytest.mark.parametrize(("spec", "field", "allowance"), CASES, ids=[c[1] for c in CASES])
def test_what_is_refused_by_its_field_can_be_allowed(spec, field, allowance):
    code, message = refusal_of(pod_task(spec))
    assert code == "PodTemplateRefused"
    assert f" {field} " in message
    assert body_of(pod_task(spec), allowing(**allowance))


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (
            with_spec(volumes=[{"name": "n", "nfs": {"server": "s", "path": "/"}}]),
            "spec.volumes[0].nfs",
        ),
        (
            with_spec(volumes=[{"name": "n", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath.path",
        ),
        (with_spec(namespace="kube-system"), "spec.namespace"),
        (with_spec(ephemeralContainers=[{"name": "e", "image": "i"}]), "spec.ephemeralContainers"),
        (
            with_container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "../../etc"}]),
            "spec.containers[1].volumeMounts[0].subPath",
        ),
        (
            with_container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "/etc"}]),
            "spec.containers[1].volumeMounts[0].subPath",
        ),
        (
            with_container(
                volumeMounts=[{"name": "v", "mountPath": "/v", "subPathExpr": "$(HOME)"}]
            ),
            "spec.containers[1].volumeMounts[0].subPathExpr",
        ),
        (
            with_container(volumeMounts=[{"name": "v", "mountPath": "/v/../proc"}]),
            "spec.containers[1].volumeMounts[0].mountPath",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_nobody_can_allow(spec, field):
    anything = PodSettings(
        allowed=Allowed(
            privileged=True,
            host_namespaces=True,
            tokens=True,
            service_accounts=frozenset({"*"}),
        )
    )
    code, message = refusal_of(pod_task(spec), anything)
    assert code == "PodTemplateRefused"
    assert f" {field} " in message


@pytest.mark.parametrize(
    "path", ["/", "/data/../etc", "/database", "data", "", "/data/in/../../etc", "//etc"]
)
def test_only_allowed_folders_of_a_node_are_mounted(path):
    spec = with_spec(volumes=[{"name": "h", "hostPath": {"path": path}}])
    code, _ = refusal_of(pod_task(spec), allowing(host_paths=frozenset({"/data"})))
    assert code == "PodTemplateRefused"


def test_a_sub_path_below_a_folder_of_the_node_is_refused():
    spec = with_spec(volumes=[{"name": "h", "hostPath": {"path": "/data"}}])
    spec["containers"][0]["volumeMounts"] = [{"name": "h", "mountPath": "/d", "subPath": "link"}]
    _, message = refusal_of(pod_task(spec), allowing(host_paths=frozenset({"/data"})))
    assert "subPath" in message


@pytest.mark.parametrize("theirs", [False, True], ids=["settings", "cluster"])
def test_a_sub_path_below_a_folder_of_the_node_that_the_template_brings_is_refused(theirs):
    template = {"spec": with_spec(volumes=[{"name": "h", "hostPath": {"path": "/data"}}])}
    spec = with_container(volumeMounts=[{"name": "h", "mountPath": "/d", "subPath": "link"}])
    settings = PodSettings(
        templates={} if theirs else {"base": template},
        default_template="base",
        allowed=replace(NOBODY, host_paths=frozenset({"/data"})),
    )
    with pytest.raises(PodRefused, match=r"spec\.containers\[1\]\.volumeMounts\[0\]\.subPath"):
        pod_for(attempt(pod_task(spec)), settings, template=template if theirs else None)


@pytest.mark.parametrize("path", ["/there", "/elsewhere"])
def test_a_folder_of_the_node_that_the_platforms_template_has_is_for_reading(path):
    """Or else a task could write where the template lets it only read."""
    theirs = {"name": "h", "mountPath": "/there", "readOnly": True}
    container = {"name": "primary", "image": "i", "volumeMounts": [theirs]}
    spec = {"volumes": [{"name": "h", "hostPath": {"path": "/data"}}], "containers": [container]}
    settings = PodSettings(templates={"base": {"spec": spec}}, default_template="base")
    own = {"name": "h", "mountPath": path}
    message = refusal_of(pod_task(with_container(volumeMounts=[own])), settings)[1]
    assert "spec.containers[1].volumeMounts[0] 'h'" in message
    for fine in (
        with_container(volumeMounts=[{**own, "readOnly": True}]),
        with_container(volumeMounts=[own]) | {"volumes": [{"name": "h", "emptyDir": {}}]},
        with_container(),
    ):
        assert body_of(pod_task(fine), settings)
    allowed = replace(settings, allowed=replace(NOBODY, host_paths=frozenset({"/data"})))
    assert body_of(pod_task(with_container(volumeMounts=[own])), allowed)


def test_unconfined_annotations_are_refused():
    key = "container.apparmor.security.beta.kubernetes.io/main"
    task = pod_task(with_spec(), annotations={key: "unconfined"})
    assert refusal_of(task)[0] == "PodTemplateRefused"
    assert body_of(task, allowing(privileged=True))


def test_what_meets_the_restricted_standard_passes():
    spec = with_spec(
        volumes=[
            {"name": "a", "emptyDir": {}},
            {"name": "b", "configMap": {"name": "c"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "d"}},
            {"name": "d", "projected": {"sources": [{"configMap": {"name": "c"}}]}},
        ],
        serviceAccountName="default",
        shareProcessNamespace=True,
        securityContext={
            "runAsUser": 1000,
            "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
            "seccompProfile": {"type": "Localhost", "localhostProfile": "p"},
        },
    )
    spec["containers"][0] |= {
        "volumeMounts": [{"name": "a", "mountPath": "/a", "subPath": "x/y"}],
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "securityContext": {"capabilities": {"drop": ["NET_RAW"]}},
    }
    body = body_of(pod_task(spec))
    assert body["securityContext"]["runAsUser"] == 1000
    assert body["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL", "NET_RAW"]}


def test_a_privileged_container_that_is_allowed_is_not_asked_to_be_unprivileged():
    body = body_of(pod_task(with_context(privileged=True)), allowing(privileged=True))
    assert body["containers"][1]["securityContext"] == {
        "capabilities": {"drop": ["ALL"]},
        "privileged": True,
    }
