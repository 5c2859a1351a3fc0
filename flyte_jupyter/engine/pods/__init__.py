"""From a task to the pod that runs it, and from what a pod shows to what that means. Pure: manifests are plain dicts."""
