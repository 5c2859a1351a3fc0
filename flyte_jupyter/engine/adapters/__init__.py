"""The outside world as the engine sees it: processes, files, clocks; and their fakes."""
