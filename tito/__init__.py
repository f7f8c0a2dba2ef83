"""The command line: a thin wrapper around pytest and `pytest_tinytorch`."""
