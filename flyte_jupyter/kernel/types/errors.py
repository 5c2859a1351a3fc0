"""What goes wrong between Python values and literals."""

from __future__ import annotations

from flyte_jupyter.kernel.errors import FlyteJupyterError

_LONGEST_VALUE = 80


def shown(value: object) -> str:
    """``int (3)``: a value's type and a short form of it, for error messages."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not hide the mismatch we report
        text = "..."
    text = " ".join(text.split())
    if len(text) > _LONGEST_VALUE:
        text = text[: _LONGEST_VALUE - 3] + "..."
    return f"{type(value).__name__} ({text})"


class UnsupportedType(FlyteJupyterError, TypeError):
    """An annotation that no type family understands."""


class Unfit(Exception):
    """A value that a converter refuses, with the place inside the value where it happened.

    Converters raise it knowing nothing of tasks; containers add their part of the place on its way out, and whoever
    knows the task and the parameter turns it into a `TypeMismatch`.
    """

    def __init__(self, expected: str, given: str, remedy: str = "") -> None:
        super().__init__(expected, given, remedy)
        self.expected = expected
        self.given = given
        self.remedy = remedy
        self.inside = ""

    def under(self, part: str) -> Unfit:
        """The same refusal, one container further out: ``[3]``, ``['a']`` or ``.field`` is put in front."""
        self.inside = part + self.inside
        return self


class TypeMismatch(FlyteJupyterError, TypeError):
    """A value or a promise that does not fit a parameter or an output.

    Attributes say the same as the message: ``entity`` (such as ``"task train"``), ``slot`` (``"parameter depth"``),
    ``expected``, ``given``, and ``inside``, the place within a container (``"[3].x"``, or empty).
    """

    def __init__(self, entity: str, slot: str, unfit: Unfit) -> None:
        self.entity = entity
        self.slot = slot
        self.expected = unfit.expected
        self.given = unfit.given
        self.inside = unfit.inside
        where = f", at {slot.rsplit(maxsplit=1)[-1]}{unfit.inside}" if unfit.inside else ""
        remedy = f". {unfit.remedy}" if unfit.remedy else ""
        super().__init__(
            f"{entity}, {slot}: expected {unfit.expected}, given {unfit.given}{where}{remedy}"
        )
