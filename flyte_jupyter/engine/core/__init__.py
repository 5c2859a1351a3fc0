"""The machine: ``step(plan, state, seen, now) -> Step``. Pure; see ``step.py`` for its rules."""
