"""Runs attempts as pods of a Kubernetes cluster, and shows executions there as custom resources."""
