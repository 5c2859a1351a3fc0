"""Conditions: nested ones, one that fails, one without a match, arms that are workflows."""

from flytekit import conditional, task, workflow


@task
def measured(x: float) -> float:
    return x * 10


@task
def small(x: float) -> str:
    return f"small {x}"


@task
def large(x: float) -> str:
    return f"large {x}"


@task
def huge(x: float) -> str:
    return f"huge {x}"


@task
def boolean(x: float) -> bool:
    return x > 1


@task
def joined(a: str, b: str) -> str:
    return f"{a} and {b}"


@workflow
def deeper(x: float) -> str:
    return small(x=measured(x=x))


@workflow
def simple(x: float = 0.5) -> str:
    return conditional("size").if_(x < 1.0).then(small(x=x)).else_().then(large(x=x))


@workflow
def chosen(x: float = 0.5) -> str:
    m = measured(x=x)
    size = (
        conditional("size")
        .if_((m < 1.0) & (x > 0.0))
        .then(small(x=m))
        .elif_((m < 100.0) | (x == 50.0))
        .then(deeper(x=x))
        .else_()
        .then(huge(x=m))
    )
    return joined(a=size, b=small(x=x))


@workflow
def nested(x: float = 0.5) -> str:
    return (
        conditional("outer")
        .if_(x < 1.0)
        .then(conditional("inner").if_(x < 0.5).then(small(x=x)).else_().then(large(x=x)))
        .else_()
        .then(conditional("other").if_(x < 10.0).then(large(x=x)).else_().fail("far too large"))
    )


@workflow
def else_fails(x: float = 2.0) -> str:
    return conditional("guard").if_(x < 1.0).then(small(x=x)).else_().fail("x must be below 1")


@workflow
def on_truth(x: float = 2.0) -> str:
    true = boolean(x=x)
    return conditional("truth").if_(true.is_true()).then(large(x=x)).else_().then(small(x=x))
