"""The same suite against moto, always, and against the real AWS, with `TINYTORCH_E2E=1`: see docs/e2e-tests.md."""
