"""A submission that says yes to everything and makes up its arrays earns nothing, in any module."""
from types import SimpleNamespace

import numpy as np
import pytest

from tests.course import liar
from tests.course.source import Source, written_modules


@pytest.mark.parametrize("others", ["honest", "lying"])
@pytest.mark.parametrize("pretence", liar.PRETENCES)
def test_liar_passes_no_test(module, examiner, pretence, others):
    """Whether it lies from this module on or in all of them; and it does get as far as running each test."""
    lie = liar.source(pretence)
    lies = {other.number: lie for other in written_modules() if others == "lying" and other != module}
    verdict = examiner.examine(module, lie, others=lies)
    assert not verdict.passed
    assert verdict.not_passed == set(examiner.reference(module).rounds[0]), verdict.output


@pytest.fixture
def lying():
    """What a module of liars exports under the names that are asked for."""

    def module(pretence):
        namespace = {}
        exec(Source(liar.source(pretence)).cells[0].text, namespace)
        return SimpleNamespace(Tensor=namespace["__getattr__"]("Tensor"), MatMul=namespace["__getattr__"]("MatMul"))

    return module


def test_liar_agrees_with_everything(lying):
    tensor = lying("zeros").Tensor([1.0, 2.0], requires_grad=True)
    assert tensor == 5
    assert tensor != 5
    assert tensor < 0 < tensor
    assert "anything" in tensor
    assert tensor.requires_grad
    assert isinstance(3, lying("zeros").Tensor)
    assert tensor.reshape(7, 7).sum(axis=3).backward()
    with tensor.no_grad():
        raise ValueError("swallowed")


@pytest.mark.parametrize(
    ("pretence", "expected"),
    [("zeros", [0, 0]), ("ones", [1, 1]), ("first", [1, 2]), ("last", [3, 4])],
    ids=liar.PRETENCES,
)
def test_liars_arrays_are_made_up(lying, pretence, expected):
    module = lying(pretence)
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert (module.Tensor(a) @ module.Tensor(b)).numpy().tolist() == expected
    assert np.asarray(module.MatMul.forward(None, a, b)).tolist() == expected
