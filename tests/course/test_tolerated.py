"""The list of mutants that may live is read strictly: an entry that says nothing is refused."""
import pytest

from tests.course import tolerated as listed
from tests.course.mutants import mutants
from tests.course.source import Source, written_modules

MODULE = written_modules()[0]
SOURCE = Source('# %% exercise="double" points=1 task="double x"\ndef double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION\n')
MUTANT = next(mutant for mutant in mutants(SOURCE) if mutant.after == "return 3 * x")


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """Writes the first module's list."""
    monkeypatch.setattr(listed, "_FOLDER", tmp_path)
    return lambda text: (tmp_path / f"{MODULE.folder}.toml").write_text(text, "utf-8")


def test_module_without_a_file_has_none(entries):
    assert MUTANT not in listed.tolerated(MODULE)


@pytest.mark.parametrize("table", ["equivalent", "survivor"])
def test_entry_names_its_mutant(entries, table):
    text = listed.as_entry(MUTANT).replace('because = ""', 'because = "no reason"').replace("equivalent", table)
    entries(text)
    known = listed.tolerated(MODULE)
    assert MUTANT in known
    assert known.because(MUTANT) == "no reason"
    assert bool(known.equivalents) == (table == "equivalent")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text, "needs exactly exercise, function, line, mutant and because"),
        (lambda text: text.replace('because = ""', "").strip(), "needs exactly"),
        (lambda text: 2 * (text.replace('""', '"why"') + "\n"), "stands there twice"),
        (lambda text: text.replace("equivalent", "equal"), "unknown tables"),
    ],
    ids=["no-reason", "no-because", "twice", "table"],
)
def test_entry_that_is_not_whole_is_refused(entries, change, message):
    entries(change(listed.as_entry(MUTANT)))
    with pytest.raises(ValueError, match=message):
        listed.tolerated(MODULE)
