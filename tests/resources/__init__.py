"""Longer proofs for `tinytorch.resources`."""
