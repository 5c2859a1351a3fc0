"""Worker pods that serve one attempt after the other, for tasks that ask for it."""
