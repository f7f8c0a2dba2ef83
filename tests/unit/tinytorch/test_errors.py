import pickle

import pytest

from tinytorch import errors
from tinytorch.errors import TinyTorchError

BUILTINS = {
    "CloudError": OSError,
    "ConfigError": ValueError,
    "DataError": OSError,
    "ExportError": ValueError,
    "GradingError": RuntimeError,
    "PrerequisiteError": ValueError,
    "StateError": OSError,
    "TransferError": OSError,
    "UpdateConflict": ValueError,
    "WorkspaceError": OSError,
}
subclasses = pytest.mark.parametrize("name", BUILTINS, ids=list(BUILTINS))


def test_the_table_above_names_every_error():
    assert errors.__all__ == sorted([*BUILTINS, "TinyTorchError"])


@subclasses
def test_error_is_caught_by_the_root_and_by_the_builtin_that_it_resembles(name):
    error = getattr(errors, name)
    for caught_as in (TinyTorchError, BUILTINS[name]):
        with pytest.raises(caught_as, match="line 3: expected a list"):
            raise error("progress file, line 3: expected a list")


@subclasses
def test_error_prints_its_message_and_nothing_else(name):
    assert str(getattr(errors, name)("no digits here")) == "no digits here"


@subclasses
def test_only_a_transfer_is_retryable_by_itself(name):
    assert getattr(errors, name)("message").retryable is (name == "TransferError")


@subclasses
@pytest.mark.parametrize("retryable", [True, False], ids=["retryable", "final"])
def test_one_error_can_say_otherwise(name, retryable):
    error = getattr(errors, name)
    assert error("message", retryable=retryable).retryable is retryable
    assert error("message").retryable is (name == "TransferError")  # the class is as it was


@subclasses
def test_error_survives_the_way_from_a_worker_process(name):
    error = pickle.loads(pickle.dumps(getattr(errors, name)("message", retryable=True)))
    assert type(error).__name__ == name
    assert str(error) == "message"
    assert error.retryable
