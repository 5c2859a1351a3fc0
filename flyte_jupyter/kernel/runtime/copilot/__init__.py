"""Carries data to and from a container that knows nothing of this platform: literals in files before it, outputs from files after.

``python -m flyte_jupyter.kernel.runtime.copilot download`` and ``... upload`` run beside the container in its pod; an executor
without pods calls `inputs.write_inputs` and `outputs.read_outputs` itself. What stands in which file is Flyte's copilot's way.
"""
