"""``PodTemplate`` objects of the cluster below what a task says: found by name, held to the same rules, asked for once."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from fake_cluster import Fault, refuse, to
from kubernetes_bench import QUICK, attempt_id, bench, spec_of

from flyte_jupyter.engine.pods.manifest import refusal
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import Accepted, NotNow, Rejected

SPEC = {
    "containers": [
        {"name": "default", "image": "noop", "env": [{"name": "FROM", "value": "template"}]}
    ],
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "terminationGracePeriodSeconds": 30,
}
SHARED = {"template_namespace": "platform"}
DEFAULT = {"pods": PodSettings(default_template="base")}


def named(node="n0", template="base"):
    spec = spec_of(attempt_id(node))
    spec.template.metadata.pod_template_name = template
    return spec


def reads(b):
    return [call.path for call in b.cluster.calls if "/podtemplates/" in call.path]


def play(tmp_path, story, **changes):
    async def main():
        async with bench(tmp_path, **changes) as b:
            b.cluster.add_namespace("platform")
            await story(b)

    asyncio.run(main())


def test_a_template_lies_below_the_tasks_pod(tmp_path):
    async def story(b):
        metadata = {"labels": {"team": "blue"}, "creationTimestamp": None}
        b.cluster.add_template("p-d", "base", SPEC, metadata)
        assert await b.executor.launch(named()) == Accepted()
        (pod,) = b.cluster.pods()
        (container,) = pod["spec"]["containers"]
        assert container["image"] == "localhost/task:test"
        assert {"name": "FROM", "value": "template"} in container["env"]
        assert pod["spec"]["tolerations"] == SPEC["tolerations"]
        assert pod["metadata"]["labels"]["team"] == "blue"

    play(tmp_path, story)


def test_the_tasks_namespace_goes_before_the_platforms(tmp_path):
    async def story(b):
        own = {**SPEC, "terminationGracePeriodSeconds": 1}
        b.cluster.add_template("platform", "base", SPEC)
        b.cluster.add_template("platform", "both", SPEC)
        b.cluster.add_template("p-d", "both", own)
        await b.executor.launch(named("n0"))
        await b.executor.launch(named("n1", "both"))
        grace = {p["spec"]["terminationGracePeriodSeconds"] for p in b.cluster.pods()}
        assert grace == {30, 1}

    play(tmp_path, story, **SHARED)


def test_the_settings_templates_go_before_the_clusters(tmp_path):
    async def story(b):
        b.cluster.add_template("p-d", "base", SPEC)
        await b.executor.launch(named())
        (pod,) = b.cluster.pods()
        assert pod["spec"]["terminationGracePeriodSeconds"] == 7
        assert not reads(b)

    templates = {"base": {"spec": {"terminationGracePeriodSeconds": 7}}}
    play(tmp_path, story, pods=PodSettings(templates=templates))


def test_a_template_that_is_nowhere_is_a_refusal_by_name(tmp_path):
    async def story(b):
        answer = await b.executor.launch(named(template="nothing"))
        assert isinstance(answer, Rejected)
        assert answer.why.code == "BadTaskSpecification"
        assert "there is no pod template 'nothing'" in answer.why.message
        assert len(reads(b)) == 2
        assert not b.cluster.pods()

    play(tmp_path, story, **SHARED)


@pytest.mark.parametrize(
    "name", ["../../other/podtemplates/base", "base?x=y", "Base", "..", "a" * 254]
)
def test_what_is_no_name_is_refused_and_no_path_is_made_of_it(tmp_path, name):
    """Its dots would lead to another namespace's template, which is none of the task's business."""

    async def story(b):
        b.cluster.add_template("other", "base", SPEC)
        answer = await b.executor.launch(named(template=name))
        assert isinstance(answer, Rejected)
        assert answer.why.code == "BadTaskSpecification"
        assert repr(name) in answer.why.message
        assert refusal(named(template=name).template, QUICK.pods) == answer.why.message
        assert not reads(b)

    play(tmp_path, story, http=True)


def test_a_default_holds_where_it_is_and_is_missed_nowhere(tmp_path):
    async def story(b):
        assert await b.executor.launch(spec_of(attempt_id("n0"))) == Accepted()
        assert "tolerations" not in b.cluster.pods()[0]["spec"]

    play(tmp_path, story, **DEFAULT)

    async def with_it(b):
        b.cluster.add_template("p-d", "base", SPEC)
        assert await b.executor.launch(spec_of(attempt_id("n0"))) == Accepted()
        assert b.cluster.pods()[0]["spec"]["tolerations"] == SPEC["tolerations"]

    play(tmp_path, with_it, **DEFAULT)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "spec.volumes[0]"),
        ({"serviceAccountName": "admin"}, "spec.serviceAccountName"),
    ],
)
def test_a_template_may_ask_for_no_more_than_a_task(tmp_path, more, field):
    """Whoever may write into a namespace makes it."""

    async def story(b):
        b.cluster.add_template("p-d", "base", {**SPEC, **more})
        answer = await b.executor.launch(named())
        assert isinstance(answer, Rejected)
        assert answer.why.code == "PodTemplateRefused"
        assert field in answer.why.message
        assert not b.cluster.pods()

    play(tmp_path, story)


def test_a_template_is_looked_up_once_for_many_attempts(tmp_path):
    async def story(b):
        b.cluster.add_template("p-d", "base", SPEC)
        specs = [named(f"n{i}") for i in range(20)]
        assert set(await asyncio.gather(*map(b.executor.launch, specs))) == {Accepted()}
        assert len(reads(b)) == 1

    play(tmp_path, story)

    async def no_longer(b):
        b.cluster.add_template("p-d", "base", SPEC)
        await b.executor.launch(named("n0"))
        b.cluster.remove("podtemplates", "p-d", "base")
        assert isinstance(await b.executor.launch(named("n1")), Rejected)

    play(tmp_path, no_longer, settings=dataclasses.replace(QUICK, template_seconds=0.0))


def test_a_server_that_is_away_is_waited_for_and_one_that_says_no_is_not(tmp_path):
    async def story(b):
        b.cluster.add_template("p-d", "base", SPEC)
        b.cluster.faults.append(Fault(to("GET", "/podtemplates/"), 1, refuse(503, "Busy", "later")))
        with pytest.raises(NotNow):
            await b.executor.launch(named())
        assert await b.executor.launch(named()) == Accepted()

    play(tmp_path, story)

    async def forbidden(b):
        no = refuse(403, "Forbidden", "podtemplates is forbidden")
        b.cluster.faults.append(Fault(to("GET", "/podtemplates/"), 1, no))
        answer = await b.executor.launch(named())
        assert isinstance(answer, Rejected)
        assert "can be read" in answer.why.message

    play(tmp_path, forbidden)
