"""Gates: what a signal may be answered with, and what an answer gives (Flyte: ``nodes/gate/handler.go``)."""

from __future__ import annotations

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.files import LiteralFiles
from flyte_jupyter.engine.answers.places import Place
from flyte_jupyter.engine.core.observations import (
    GateOpened,
    GateRefused,
    Observation,
    SignalUnset,
)
from flyte_jupyter.engine.core.state import Failure
from flyte_jupyter.engine.ports import Signals
from flyte_jupyter.idl import core, types
from flyte_jupyter.idl.ids import AttemptId, RunId, path_text


async def open_gate(signals: Signals, run: RunId, place: Place) -> bool:
    """Let people answer. Returns whether the signal is answered already."""
    signal = place.plan.gate.signal
    return await signals.open(run, signal, signal_type(place), path_text(place.path))


def signal_type(place: Place) -> core.LiteralType:
    """What the gate's signal may be answered with: an approval with yes or no."""
    gate = place.node.gate_node
    if gate.HasField("approve"):
        return core.LiteralType(simple=core.SimpleType.BOOLEAN)
    return gate.signal.type


async def read_signal(
    signals: Signals, files: LiteralFiles, run: RunId, place: Place
) -> Observation:
    """Look at the answer, and write what the gate gives if it says yes."""
    path, signal = place.path, place.plan.gate.signal
    value = await signals.value(run, signal)
    if value is None:
        return SignalUnset(path)
    if why := types.mismatch(value, signal_type(place)):
        return GateRefused(path, Failure("InvalidSignalValue", f"signal {signal}: {why}"))
    root = files.blobs.root
    uri = layout.outputs_uri(root, AttemptId(run, path, 0))
    gate = place.node.gate_node
    if not gate.HasField("approve"):
        outputs = core.LiteralMap(literals={gate.signal.output_variable_name: value})
        await files.write(uri, outputs)
    elif value.scalar.primitive.boolean:
        await files.blobs.copy(layout.inputs_uri(root, run, path), uri)
    else:
        return GateRefused(path, Failure("ReceivedRejectSignal", f"signal {signal} was rejected"))
    return GateOpened(path, uri)
