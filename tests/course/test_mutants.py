"""Small faults in the reference solution are noticed. The report tries every mutant, this file a fixed sample of each module."""
import ast

import pytest

from tests.course.mutants import mutants, sample
from tests.course.source import Source, read
from tests.course.tolerated import as_entry, tolerated

SAMPLE, BATCHES = 40, 4  # batches, so that parallel workers share a module


@pytest.mark.parametrize("batch", range(BATCHES))
def test_sampled_mutants_are_killed(module, examiner, batch):
    known = tolerated(module)
    alive = [
        mutant for mutant in sample(read(module), SAMPLE)[batch::BATCHES]
        if mutant not in known and examiner.examine(module, mutant.text, stop=True, quiet=True, first=mutant.exercise).is_clean
    ]
    assert not alive, "no course test notices:\n\n" + "\n\n".join(f"# {mutant}\n{as_entry(mutant)}" for mutant in alive)


def test_every_tolerated_mutant_exists(module):
    made = {mutant.key for mutant in mutants(read(module))}
    known = tolerated(module)
    assert not set(known.equivalents) - made
    assert not set(known.survivors) - made


def test_mutants_are_valid_python_with_another_meaning(module):
    source = read(module)
    for mutant in sample(source, 50):
        assert ast.dump(ast.parse(mutant.text)) != ast.dump(source.tree), mutant


def test_three_mutants_for_a_mutable_line(module):
    made = mutants(read(module))
    assert len(made) >= 3 * len({mutant.line for mutant in made})


SOFTMAX = Source('''\
# %% exercise="softmax" points=1 task="return the softmax of x"
def softmax(x, dim):
    """exp(x) / sum(exp(x))."""
    ### BEGIN SOLUTION
    y = np.exp(x - x.max(axis=dim, keepdims=True))  # at most 0
    return y / y.sum(axis=dim, keepdims=True)
    ### END SOLUTION
''')


def test_mutants_stay_inside_the_solution():
    for mutant in mutants(SOFTMAX):
        before, after = SOFTMAX.lines, mutant.text.split("\n")
        assert after[:4] == before[:4]
        assert after[-2:] == before[-2:]
        assert mutant.exercise == mutant.function == "softmax"


@pytest.mark.parametrize(
    "after",
    [
        "pass",
        "y = np.log(x - x.max(axis=dim, keepdims=True))",
        "y = np.exp(x + x.max(axis=dim, keepdims=True))",
        "y = np.exp(x - x.min(axis=dim, keepdims=True))",
        "y = np.exp(x - x.max(keepdims=True))",
        "y = np.exp(x - x.max(axis=dim, keepdims=False))",
        "return (y.sum(axis=dim, keepdims=True)) / (y)",
        "return x",
        "return None",
    ],
    ids=["removed", "function", "operator", "method", "keyword", "flag", "swap", "argument", "nothing"],
)
def test_softmax_has_the_mutant(after):
    assert after in [mutant.after for mutant in mutants(SOFTMAX)]


def test_sample_does_not_change_when_lines_move():
    moved = Source("# %%\nx = 1\n" + SOFTMAX.text)
    assert [m.key for m in sample(SOFTMAX, 5)] == [m.key for m in sample(moved, 5)]
