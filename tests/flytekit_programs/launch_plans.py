"""Executions that start executions: default, fixed and given inputs; a child that fails."""

from flytekit import LaunchPlan, task, workflow


def refuse(why: str) -> int:
    raise ValueError(why)


@task
def power(base: int, exponent: int) -> int:
    return base**exponent


@task
def broken(x: int) -> int:
    return refuse("the child fails")


@workflow
def child(base: int, exponent: int = 2) -> int:
    return power(base=base, exponent=exponent)


@workflow
def failing_child(x: int) -> int:
    return broken(x=x)


plain = LaunchPlan.get_or_create(child, name="flytekit_programs.launch_plans.plain")
cubes = LaunchPlan.get_or_create(
    child, name="flytekit_programs.launch_plans.cubes", fixed_inputs={"exponent": 3}
)
tens = LaunchPlan.get_or_create(
    child, name="flytekit_programs.launch_plans.tens", default_inputs={"base": 10}
)
fails = LaunchPlan.get_or_create(failing_child, name="flytekit_programs.launch_plans.fails")


@workflow
def parent(x: int = 2) -> tuple[int, int, int]:
    return plain(base=x), cubes(base=x), tens(exponent=x)


@workflow
def around_failing(x: int = 1) -> int:
    return fails(x=x)


@workflow
def grandparent(x: int = 2) -> int:
    one, _two, _three = parents(x=x)
    return power(base=one, exponent=2)


parents = LaunchPlan.get_or_create(parent, name="flytekit_programs.launch_plans.parents")
