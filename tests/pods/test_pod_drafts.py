"""Pods of attempts that share a draft: each is the one that it would have got alone."""

import copy
import itertools

import pytest
from pod_attempts import RUN, attempt, container_task, pod_task

from flyte_jupyter.engine.pods.drafts import Drafts
from flyte_jupyter.engine.pods.manifest import pod_for
from flyte_jupyter.engine.pods.manifests import PodRefused
from flyte_jupyter.engine.pods.settings import Allowed, Copilot, PodSettings, SecretVariable
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.ids import AttemptId

SETTINGS = PodSettings(
    env={"REGION": "here", "TIER": "settings"},
    secret_env=[SecretVariable("KEY", "store", "key")],
    copilot=Copilot(image="example.org/copilot:1"),
    allowed=Allowed(service_accounts=frozenset({"*"})),
    interruptible_requirement={"key": "spot", "operator": "Exists"},
)
OVER = {
    "metadata": {"labels": {"team": "a"}},
    "spec": {"containers": [{"name": "default", "env": [{"name": "FROM", "value": "{{.input}}"}]}]},
}
OTHER = {"metadata": {"labels": {"team": "b"}}, "spec": {"nodeSelector": {"disk": "ssd"}}}


def raw() -> core.TaskTemplate:
    task = container_task(args=["{{.inputs.x}}", "to", "/out"])
    task.container.data_config.enabled = True
    return task


def secretive() -> core.TaskTemplate:
    task = container_task(args=["--in", "{{.input}}"], env=[{"key": "TIER", "value": "task"}])
    secret = core.Secret(group="g", key="k", mount_requirement=core.Secret.ENV_VAR)
    task.security_context.secrets.append(secret)
    return task


def templated() -> core.TaskTemplate:
    task = container_task(args=["{{.outputPrefix}}", "{{.prevCheckpointPrefix}}"])
    task.metadata.pod_template_name = "theirs"
    return task


def many() -> core.TaskTemplate:
    containers = [
        {"name": "main", "image": "i", "command": ["run", "{{.perRetryUniqueKey}}"]},
        {"name": "beside", "image": "j", "args": ["{{.rawOutputDataPrefix}}", "plain"]},
    ]
    return pod_task({"containers": containers, "initContainers": [{"name": "first", "image": "k"}]})


def attempts(task: core.TaskTemplate) -> list[AttemptSpec]:
    """Attempts of one task that differ in all that attempts of a task may differ in."""
    where = "s3://bucket/$(HOME)"
    return [
        attempt(task),
        attempt(
            task,
            id=AttemptId(RUN, ("n1",), 2),
            inputs=f"{where}/n1/inputs.pb",
            output_prefix=f"{where}/n1/2",
            raw_output_prefix=f"{where}/raw",
            prev_checkpoint=f"{where}/before",
            node="n1",
        ),
        attempt(task, env={"TIER": "execution", "FLYTE_ATTEMPT_NUMBER": "7"}),
        attempt(task, env={"TIER": "again", "FLYTE_ATTEMPT_NUMBER": "8"}),
        attempt(task, interruptible=True, service_account="worker"),
        attempt(task, labels={"who": "me"}, annotations={"why": "{{.input}}"}),
    ]


@pytest.mark.parametrize("make", [container_task, raw, secretive, templated, many])
def test_a_shared_draft_gives_each_attempt_the_pod_that_it_would_get_alone(make):
    drafts = Drafts(SETTINGS)
    inputs = core.LiteralMap(literals={"x": literals.literal(7)})
    owner = {"kind": "FlyteWorkflow", "uid": "1"}
    made = []
    for (at, spec), over in itertools.product(enumerate(attempts(make())), (OVER, OTHER, OVER)):
        template = over if spec.template.metadata.pod_template_name else None
        more = {"inputs": inputs, "owner": owner if at % 2 else None}
        pod = drafts.of(spec, template).pod(spec, **more)
        assert pod == pod_for(spec, SETTINGS, template=template, **more)
        made.append((pod, copy.deepcopy(pod)))
    assert all(pod == then for pod, then in made), "a pod was changed by a later one"


def test_a_draft_is_drawn_once_for_all_attempts_that_it_serves():
    drafts = Drafts(SETTINGS)
    one, two, *_ = attempts(secretive())
    assert drafts.of(one) is drafts.of(two)
    assert drafts.of(one) is not drafts.of(attempt(raw()))


def test_a_task_that_was_changed_in_place_gets_another_draft():
    drafts, task = Drafts(SETTINGS), container_task()
    before = drafts.of(attempt(task))
    task.container.image = "example.org/task:2"
    assert drafts.of(attempt(task)).body != before.body


def test_refusals_are_not_remembered_as_drafts():
    drafts = Drafts(PodSettings())
    for _ in range(2):
        with pytest.raises(PodRefused):
            drafts.of(attempt(raw()))


def test_what_only_one_attempt_makes_too_large_is_refused_for_that_one():
    drafts = Drafts(PodSettings(most_bytes=20_000))
    small, large = attempt(env={"DATA": "x"}), attempt(env={"DATA": "x" * 20_000})
    assert drafts.of(small) is drafts.of(large)
    drafts.of(small).pod(small)
    with pytest.raises(PodRefused, match=r"Largest are spec.containers\[task\].env 2"):
        drafts.of(large).pod(large)
