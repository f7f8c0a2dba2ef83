"""A course's change and a student's work put together, cell by cell."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_tinytorch.update.merge import matched, merge
from pytest_tinytorch.workspace import notebooks
from pytest_tinytorch.workspace.convert import to_notebook, to_percent
from tinytorch.errors import ExportError

STUB = '''\
# %% [markdown]
# # A module
#
# About numbers.

# %% tags=["export"]
import math

# %% exercise="double" points=2 task="return twice x"
def double(x):
    """Twice x."""
    raise NotImplementedError("exercise double: return twice x")

# %% [markdown]
# Roots are next.

# %% exercise="root" points=1 task="return the root"
def root(x):
    """The root of x."""
    raise NotImplementedError("exercise root: return the root")

# %%
print("a demonstration")
'''
DOUBLE = 'raise NotImplementedError("exercise double: return twice x")'
SOLVED = STUB.replace(DOUBLE, "return 2 * x  # mine")


@pytest.fixture(params=["py", "ipynb"])
def merged(request):
    """Merge three scripts, in one of the two forms; the result as a script, and all that the merge told."""

    def run(ours: str, theirs: str, base: str = STUB):
        as_file = (lambda text: text.encode()) if request.param == "py" else lambda text: to_notebook(text).encode()
        result = merge(*map(as_file, (base, ours, theirs)), Path(f"m.{request.param}"))
        text = result.data.decode()
        return (text if request.param == "py" else without_ids(text)), result

    return run


def without_ids(notebook: str) -> str:
    """A notebook as a script whose cells have the ids that their content gives: a changed cell keeps its own."""
    found = json.loads(notebook)
    for cell in found["cells"]:
        del cell["id"]
    return to_percent(json.dumps(found))[0]


def sources(text: str) -> list[str]:
    return [cell.source for cell in notebooks.parse_percent(text)]


def test_what_only_the_course_changed_comes_in(merged):
    theirs = STUB.replace("About numbers.", "About all numbers.").replace("import math", "import math\nimport sys")
    text, result = merged(STUB, theirs)
    assert (text, result.conflicts, result.notes) == (theirs, [], [])


def test_what_only_the_student_changed_stays(merged):
    text, _ = merged(SOLVED, STUB)
    assert text == SOLVED


def test_both_changes_are_there(merged):
    theirs = STUB.replace("About numbers.", "About all numbers.").replace("The root of x.", "The square root of x.")
    text, result = merged(SOLVED, theirs)
    assert text == theirs.replace(DOUBLE, "return 2 * x  # mine")
    assert result.conflicts == []


def test_a_docstring_that_touches_the_students_lines_is_no_conflict(merged):
    theirs = STUB.replace('"""Twice x."""', '"""Twice x, as a number."""')
    text, result = merged(SOLVED, theirs)
    assert text == theirs.replace(DOUBLE, "return 2 * x  # mine")
    assert result.conflicts == []


def test_a_new_wording_of_the_task_is_no_conflict_with_the_solution(merged):
    theirs = STUB.replace("return twice x", "return x, doubled")
    text, result = merged(SOLVED, theirs)
    assert result.conflicts == []
    assert 'task="return x, doubled"' in text and "return 2 * x  # mine" in text and "exercise double" not in text
    assert merged(STUB.replace('print("', 'print("mine: '), theirs)[0].count("return x, doubled") == 2


def test_a_conflict_keeps_the_students_cell_and_shows_the_courses_change_above_it(merged):
    theirs = STUB.replace("def double(x):", "def double(x, by=2):")
    ours = SOLVED.replace("def double(x):", "def double(number):")
    text, result = merged(ours, theirs)
    [conflict] = result.conflicts
    assert conflict.title == "double"
    assert "-def double(x):" in conflict.diff and "+def double(x, by=2):" in conflict.diff
    cells = notebooks.parse_percent(text)
    [number] = [cell.number for cell in cells if cell.conflict]
    assert cells[number - 1].conflict == "double" and "+def double(x, by=2):" in cells[number - 1].source
    assert cells[number].source == sources(ours)[2], "the student's cell is as it was"
    assert sources(text)[: number - 1] + sources(text)[number:] == sources(ours)


def test_what_would_be_no_python_is_a_conflict(merged):
    theirs = STUB.replace("def double(x):\n", "def double(\n    x,\n):\n")
    ours = STUB.replace("def double(x):\n", "def double(x): return 2 * x\n").replace(f"    {DOUBLE}\n", "").replace('    """Twice x."""\n', "")
    _, result = merged(ours, theirs)
    assert [conflict.title for conflict in result.conflicts] == ["double"]


def test_cells_that_either_side_inserted_are_there(merged):
    mine, new = '# %%\nmine = "notes"\n\n', "# %% [markdown]\n# A new explanation.\n\n"
    anchor = "# %% [markdown]\n# Roots are next.\n"
    text, result = merged(SOLVED.replace(anchor, mine + anchor), STUB.replace(anchor, new + anchor))
    assert result.conflicts == []
    assert sources(text) == [*sources(SOLVED)[:3], 'mine = "notes"', "A new explanation.", *sources(SOLVED)[3:]]


def test_a_cell_that_the_course_moved_is_moved_with_the_students_work(merged):
    def with_root_first(text: str) -> str:
        head, marker, rest = text.partition('# %% exercise="double"')
        double, root_marker, root = rest.partition("# %% [markdown]\n# Roots")
        root, demo_marker, demo = root.partition("# %%\nprint")
        return head + root_marker + root + marker + double + demo_marker + demo

    ours = STUB.replace('raise NotImplementedError("exercise root: return the root")', "return math.sqrt(x)")
    text, result = merged(ours, with_root_first(STUB))
    assert (sources(text), result.conflicts) == (sources(with_root_first(ours)), [])


def test_a_cell_that_the_student_moved_stays_where_they_put_it(merged):
    demo = '# %%\nprint("a demonstration")\n'
    ours = demo + "\n" + STUB.replace("\n" + demo, "")
    theirs = STUB.replace("About numbers.", "About all numbers.")
    text, _ = merged(ours, theirs)
    assert sources(text) == sources(ours.replace("About numbers.", "About all numbers."))


def test_an_answer_that_the_course_no_longer_asks_for_is_never_dropped(merged):
    theirs = STUB[: STUB.index('# %% exercise="double"')] + STUB[STUB.index("# %% [markdown]\n# Roots") :]
    text, result = merged(SOLVED, theirs)
    assert "return 2 * x  # mine" in text
    assert result.notes == ["double: the course no longer has this cell; yours, which you changed, stays."]
    assert merged(STUB, theirs)[0] == theirs, "an empty exercise goes"


def test_what_the_student_deleted_stays_away_unless_the_package_needs_it(merged):
    without_demo = STUB[: STUB.index("# %%\nprint")].rstrip("\n") + "\n"
    theirs = STUB.replace("a demonstration", "another demonstration")
    assert merged(without_demo, theirs)[0].rstrip("\n") == without_demo.rstrip("\n")
    without_double = STUB[: STUB.index('# %% exercise="double"')] + STUB[STUB.index("# %% [markdown]\n# Roots") :]
    text, result = merged(without_double, STUB.replace("Twice x.", "Twice any x."))
    assert sources(text) == sources(STUB.replace("Twice x.", "Twice any x."))
    assert result.notes == ["double: you had deleted this cell; the course changed it, so it is there again."]


def test_a_cell_that_both_added_is_there_once(merged):
    new = '# %% tags=["export"]\nimport sys\n\n'
    anchor = '# %% exercise="double"'
    text, result = merged(SOLVED.replace(anchor, new + anchor), STUB.replace(anchor, new + anchor))
    assert (text, result.conflicts) == (SOLVED.replace(anchor, new + anchor), [])


def test_merging_again_changes_nothing(merged):
    theirs = STUB.replace("def double(x):", "def double(x, by=2):").replace("About numbers.", "About all numbers.")
    text, _ = merged(SOLVED.replace("def double(x):", "def double(number):"), theirs)
    assert merged(text, theirs, base=theirs)[0] == text


# --- what notebooks bring ------------------------------------------------------------------------------------------


def notebook(text: str) -> dict:
    return json.loads(to_notebook(text))


def merge_notebooks(ours: dict, theirs: str, base: str = STUB) -> dict:
    result = merge(to_notebook(base).encode(), json.dumps(ours).encode(), to_notebook(theirs).encode(), Path("m.ipynb"))
    return json.loads(result.data)


def test_outputs_stay_with_the_cells_that_did_not_change():
    ours = notebook(SOLVED)
    output = {"output_type": "stream", "name": "stdout", "text": ["a demonstration\n"]}
    for cell in ours["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [output], "execution_count": 7}
    result = merge_notebooks(ours, STUB.replace("The root of x.", "The square root of x."))
    assert [len(cell["outputs"]) for cell in result["cells"] if cell["cell_type"] == "code"] == [1, 1, 0, 1]
    assert result["cells"][4]["execution_count"] is None


def test_a_notebook_without_ids_gets_them_and_its_cells_are_found():
    ours = notebook(SOLVED) | {"nbformat_minor": 4}
    for cell in ours["cells"]:
        del cell["id"]
    result = merge_notebooks(ours, STUB.replace("About numbers.", "About all numbers."))
    assert len(result["cells"]) == 6 and len({cell["id"] for cell in result["cells"]}) == 6
    assert result["nbformat_minor"] == 5
    assert "About all numbers." in "".join(result["cells"][0]["source"])


def test_ids_that_an_editor_doubled_or_gave_anew_do_no_harm():
    ours = notebook(SOLVED)
    for number, cell in enumerate(ours["cells"]):
        cell["id"] = f"new-{number // 2}"  # each twice
    result = merge_notebooks(ours, STUB.replace("The root of x.", "The square root of x."))
    assert len({cell["id"] for cell in result["cells"]}) == len(result["cells"]) == 6
    assert "The square root of x." in "".join(result["cells"][4]["source"])


def test_what_the_notebook_says_of_itself_and_of_its_cells_stays():
    ours = notebook(SOLVED)
    ours["metadata"]["kernelspec"]["name"] = "my-kernel"
    ours["cells"][2]["metadata"] |= {"collapsed": True}
    ours["cells"][0]["attachments"] = {"a.png": {"image/png": "AAAA"}}
    result = merge_notebooks(ours, STUB.replace('points=2 task="return twice x"', 'points=3 task="return twice x"'))
    assert result["metadata"]["kernelspec"]["name"] == "my-kernel"
    assert result["cells"][2]["metadata"]["collapsed"] is True and result["cells"][2]["metadata"]["points"] == 3
    assert result["cells"][0]["attachments"] == {"a.png": {"image/png": "AAAA"}}


def test_the_result_is_a_valid_notebook():
    import nbformat

    ours = notebook(SOLVED.replace("def double(x):", "def double(number):"))
    result = merge_notebooks(ours, STUB.replace("def double(x):", "def double(x, by=2):"))
    nbformat.validate(nbformat.from_dict(result))


def test_a_script_keeps_the_newlines_of_windows():
    ours = SOLVED.replace("\n", "\r\n").encode()
    theirs = STUB.replace("About numbers.", "About all numbers.")
    data = merge(STUB.encode(), ours, theirs.encode(), Path("m.py")).data
    assert data == theirs.replace(DOUBLE, "return 2 * x  # mine").replace("\n", "\r\n").encode()


def test_a_file_that_is_no_notebook_is_refused():
    with pytest.raises(ExportError, match=r"m\.ipynb:1: this is not JSON"):
        merge(to_notebook(STUB).encode(), b"{", to_notebook(STUB).encode(), Path("m.ipynb"))


def test_cells_are_found_by_id_then_exercise_then_content_then_likeness():
    base = notebooks.parse_percent(STUB)
    other = notebooks.parse_percent(
        STUB.replace("About numbers.", "About numbers, and more.").replace("# %%\nprint", '# %% id="x"\nprint')
    )
    assert matched(base, other) == {number: number for number in range(6)}
    assert 0 not in matched(base, other, alike=False)
