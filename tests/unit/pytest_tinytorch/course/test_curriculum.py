"""The course is read whole or not at all, and its modules and milestones answer to the names that people type."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.course.curriculum import Milestone, Module, UnknownName, as_ranges, read_course
from tests.plugin.conftest import CURRICULUM, REQUIRED
from tinytorch.errors import ConfigError

REAL = curriculum.read_course(Path(__file__).parents[4] / "templates")


# --- the course of this project -----------------------------------------------------------------------------------


def test_the_course_has_twenty_modules_and_six_milestones():
    titles = (
        "Tensor Activations Layers Losses DataLoader Autograd Optimizers Training Convolutions Tokenization Embeddings "
        "Attention Transformers Profiling Quantization Compression Acceleration Memoization Benchmarking Capstone"
    )
    assert [module.title for module in REAL.modules] == titles.split()
    assert [module.number for module in REAL.modules] == [f"{n:02d}" for n in range(1, 21)]
    assert [m.slug for m in REAL.milestones] == ["perceptron", "xor", "mlp", "cnn", "transformer", "mlperf"]
    assert [m.year for m in REAL.milestones] == [1958, 1969, 1986, 1998, 2017, 2018]


def test_names_are_derived_from_number_and_slug():
    loader, mlp = REAL.module("05"), REAL.milestone("03")
    assert (loader.folder, loader.marker, loader.label, loader.key) == (
        "05_dataloader",
        "module05",
        "05 DataLoader",
        "5",
    )
    assert (loader.export_path.as_posix(), loader.test_folder) == (
        "tinytorch/core/dataloader.py",
        "tests/05_dataloader",
    )
    assert REAL.module("20").export_path.as_posix() == "tinytorch/capstone.py"
    assert (mlp.folder, mlp.marker, mlp.label) == ("03_1986_mlp", "milestone03", "03 - MLP Revival (1986)")
    assert mlp.test_folder == "milestones/03_1986_mlp"


# --- names that people type ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("05", "05"),
        ("5", "05"),
        ("005", "05"),
        (" 5 ", "05"),
        ("dataloader", "05"),
        ("DataLoader", "05"),
        ("05_dataloader", "05"),
        ("module05", "05"),
        ("data", "05"),
        ("autograd", "06"),
        ("20", "20"),
        ("tensor", "01"),
        ("transf", "13"),
    ],
)
def test_a_module_answers_to(name, number):
    assert REAL.module(name).number == number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("03", "03"),
        ("3", "03"),
        ("mlp", "03"),
        ("MLP", "03"),
        ("mlpe", "06"),
        ("03_1986_mlp", "03"),
        ("milestone03", "03"),
        ("x", "02"),
    ],
)
def test_a_milestone_answers_to(name, number):
    """`mlp` is a slug of its own, though `mlperf` begins with it."""
    assert REAL.milestone(name).number == number


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t", "'t' may be module tensor or training or tokenization or transformers: type a little more"),
        (
            "tensro",
            r"There is no module 'tensro'\. Did you mean tensor\? Modules are 01 to 20; .* tito module list",
        ),
        ("21", r"There is no module '21'\. Modules are 01 to 20"),
        ("0", "There is no module '0'"),
        ("-1", "There is no module '-1'"),
        ("", "There is no module ''"),
        ("  ", "There is no module '  '"),
        ("\N{SUPERSCRIPT TWO}", "There is no module '\N{SUPERSCRIPT TWO}'"),
        ("5.0", r"There is no module '5\.0'"),
        ("../05_dataloader", "Did you mean 05_dataloader"),
        ("module", "There is no module 'module'"),
    ],
)
def test_a_name_that_is_no_module_is_told(name, message):
    with pytest.raises(UnknownName, match=message):
        REAL.module(name)


def test_a_name_that_is_no_milestone_is_told(tmp_path):
    with pytest.raises(
        UnknownName,
        match=r"no milestone 'perceptorn'\. Did you mean perceptron\? Milestones are 01 to 06; .* tito milestone",
    ):
        REAL.milestone("perceptorn")
    course = written(tmp_path, CURRICULUM.split("[[milestone]]")[0])
    assert read_course(course).milestones == ()
    with pytest.raises(UnknownName, match=r"There is no milestone '1'\. The course has none"):
        read_course(course).milestone("1")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        (["08"], "08"),
        (["08", "09"], "08-09"),
        (["11", "08", "09"], "08-09, 11"),
        (["01", "03", "05"], "01, 03, 05"),
        (["09", "10"], "09-10"),
        (["99", "100"], "99-100"),
    ],
    ids=str,
)
def test_numbers_are_told_as_ranges(numbers, text):
    assert as_ranges(numbers) == text


# --- what is unlocked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "now", "unlocked"),
    [
        (["01"], ["01"], ["module02", "module05", "module10"]),
        (["01", "02"], ["02"], ["module03", "module04"]),
        (["01", "02"], [], []),
        (["01", "02", "03"], ["03"], ["module14", "milestone01", "milestone02"]),
        (["01", "02", "03"], ["02", "03"], ["module04", "module14", "milestone01", "milestone02"]),
        (["02"], ["02"], []),
    ],
    ids=["first", "second", "nothing new", "third", "two at once", "forced"],
)
def test_a_completion_unlocks_what_needed_nothing_else(done, now, unlocked):
    assert [part.marker for part in REAL.unlocked_by(done, now)] == unlocked


# --- a curriculum with a fault ------------------------------------------------------------------------------------


def written(folder, text, version="1.0.0\n"):
    folder.mkdir(exist_ok=True)
    (folder / "curriculum.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "VERSION").write_bytes(version if isinstance(version, bytes) else version.encode())
    return folder


def changed(old, new):
    assert old in CURRICULUM
    return CURRICULUM.replace(old, new, 1)


FAULTS = {
    "no toml": ("[[module]", r"curriculum\.toml: .*line 1"),
    "not utf-8": (b"goal = '\xff'", r"curriculum\.toml: .*0xff"),
    "empty": ("", r"curriculum\.toml: no \[\[module\]\] in it"),
    "one table": ('[module]\nnumber = "01"', r"curriculum\.toml: module must be \[\[module\]\] tables"),
    "no tables": ('module = ["01"]', r"curriculum\.toml: module must be \[\[module\]\] tables"),
    "milestones as text": (
        'milestone = "01"\n' + CURRICULUM.split("[[milestone]]")[0],
        r"curriculum\.toml: milestone must be \[\[milestone\]\] tables",
    ),
    "missing key": (
        changed('title = "Tensor"\n', ""),
        r"curriculum\.toml: module 01 has missing or unknown keys: \['title'\]",
    ),
    "no number": (
        changed('number = "01"\n', ""),
        r"curriculum\.toml: module \? has missing or unknown keys: \['number'\]",
    ),
    "unknown key": (
        changed('title = "Tensor"', 'title = "Tensor"\ntitel = "x"'),
        r"curriculum\.toml: .*unknown keys: \['titel'\]",
    ),
    "number as number": (
        changed('number = "01"', "number = 1"),
        r"curriculum\.toml: module 1: number must be a text, found 1",
    ),
    "slug as number": (
        changed('slug = "tensor"', "slug = 1"),
        r"curriculum\.toml: module 01: slug must be a text, found 1",
    ),
    "title as list": (
        changed('title = "Tensor"', "title = []"),
        r"curriculum\.toml: module 01: title must be a text, found \[\]",
    ),
    "year as text": (
        changed("year = 1958", 'year = "1958"'),
        r"curriculum\.toml: milestone 01: year must be a whole number, found '1958'",
    ),
    "year as truth": (
        changed("year = 1958", "year = true"),
        r"curriculum\.toml: milestone 01: year must be a whole number, found True",
    ),
    "needs as text": (
        changed('needs = ["01"]', 'needs = "01"'),
        r"curriculum\.toml: module 02: needs must be a list of numbers such as \"01\", found '01'",
    ),
    "needs as numbers": (
        changed('needs = ["01"]', "needs = [1]"),
        r"curriculum\.toml: module 02: needs must be a list of numbers such as \"01\", found \[1\]",
    ),
    "needs a slug": (
        changed('needs = ["01"]', 'needs = ["tensor"]'),
        r"curriculum\.toml: 02 Activations needs 'tensor', which the course doesn't have",
    ),
    "needs nobody": (
        changed('needs = ["01"]', 'needs = ["07"]'),
        r"curriculum\.toml: 02 Activations needs '07', which the course doesn't have",
    ),
    "milestone needs nobody": (
        changed('needs = ["01", "02"]\ngoal = "The first"', 'needs = ["09"]\ngoal = "The first"'),
        r"curriculum\.toml: 01 - Perceptron \(1958\) needs '09'",
    ),
    "needs a later one": (
        changed("needs = []", 'needs = ["02"]'),
        r"curriculum\.toml: 01 Tensor needs 02, which comes no earlier",
    ),
    "needs itself": (
        changed("needs = []", 'needs = ["01"]'),
        r"curriculum\.toml: 01 Tensor needs 01, which comes no earlier",
    ),
    "one digit": (changed('number = "01"', 'number = "1"'), r"curriculum\.toml: '1' 'tensor': a number has two digits"),
    "digits of another script": (
        changed('number = "01"', 'number = "\u0661\u0662"'),
        r"curriculum\.toml: .* 'tensor': a number has two digits",
    ),
    "capital slug": (
        changed('slug = "tensor"', 'slug = "Tensor"'),
        r"curriculum\.toml: '01' 'Tensor': .* a slug small letters",
    ),
    "slug that leads out": (
        changed('slug = "tensor"', 'slug = "../x"'),
        r"curriculum\.toml: '01' '\.\./x': .* a slug small letters",
    ),
    "number twice": (changed('number = "03"', 'number = "02"'), r"curriculum\.toml: a number or a slug occurs twice"),
    "slug twice": (
        changed('slug = "activations"', 'slug = "tensor"'),
        r"curriculum\.toml: a number or a slug occurs twice",
    ),
    "exports elsewhere": (
        changed("tinytorch.core.tensor", "numpy.core.tensor"),
        r"curriculum\.toml: 01 Tensor exports to 'numpy\.core\.tensor', which is no module below tinytorch",
    ),
    "exports up": (
        changed("tinytorch.core.tensor", "tinytorch..tensor"),
        r"curriculum\.toml: 01 Tensor exports to 'tinytorch\.\.tensor'",
    ),
    "exports to a base module": (
        changed("tinytorch.core.tensor", "tinytorch.random"),
        r"curriculum\.toml: 01 Tensor exports to 'tinytorch\.random', which is installed",
    ),
    "exports below a base module": (
        changed("tinytorch.core.tensor", "tinytorch.datasets.mine"),
        r"curriculum\.toml: 01 Tensor exports to 'tinytorch\.datasets\.mine', which is installed",
    ),
    "two export to one": (
        changed("tinytorch.core.activations", "tinytorch.core.tensor"),
        r"curriculum\.toml: 02 Activations exports to 'tinytorch\.core\.tensor', as another module does",
    ),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_curriculum_with_a_fault_is_refused_with_its_file(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as raised:
        read_course(written(tmp_path / "course", text))
    assert str(tmp_path / "course") in str(raised.value)


def test_a_curriculum_may_have_windows_newlines_and_a_byte_order_mark(tmp_path):
    data = b"\xef\xbb\xbf" + CURRICULUM.replace("\n", "\r\n").encode()
    course = read_course(written(tmp_path, data, version=b"\xef\xbb\xbf1.0.0\r\n"))
    assert (len(course.modules), course.version) == (3, "1.0.0")


@pytest.mark.parametrize("made", ["nothing", "a file", "an empty folder", "no VERSION"])
def test_a_folder_that_is_no_course_is_named_with_what_it_lacks(tmp_path, made):
    folder = tmp_path / "course"
    if made == "a file":
        folder.touch()
    elif made != "nothing":
        folder.mkdir()
    if made == "no VERSION":
        (folder / "curriculum.toml").write_text(CURRICULUM)
    lacking = "VERSION" if made == "no VERSION" else r"curriculum\.toml"
    reason = "Not a directory" if made == "a file" else "No such file or directory"
    with pytest.raises(ConfigError, match=rf"{folder} is no course: {reason} \(.*{lacking}\)"):
        read_course(folder)


@pytest.mark.parametrize(
    ("version", "message"), [(b"\xff", r"VERSION: .*0xff"), (b" \n", "VERSION is empty")], ids=["not utf-8", "empty"]
)
def test_a_version_that_cannot_be_read_is_told_with_its_file(tmp_path, version, message):
    with pytest.raises(ConfigError, match=message):
        read_course(written(tmp_path, CURRICULUM, version=version))


# --- required tests -----------------------------------------------------------------------------------------------


def test_required_tests_are_those_of_the_manifest(course):
    assert course.required(course.module("01")) == frozenset(REQUIRED["module01"])
    assert course.required(course.module("03")) == frozenset(), "not written: nothing could be proved"


@pytest.mark.parametrize(
    "text",
    [None, "{", "[]", '{"module01": "tests/a.py::test"}', '{"module01": [1]}'],
    ids=["missing", "broken", "a list", "a text", "numbers"],
)
def test_required_tests_that_cannot_be_read_are_told(course, text):
    path = course.folder / "required_tests.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ConfigError, match=r"required_tests\.json(: | can't be read: ).*make generate"):
        course.required(course.module("01"))


# --- where the course comes from ----------------------------------------------------------------------------------


def test_without_a_variable_the_installed_course_is_loaded():
    assert curriculum.load() == REAL


def test_the_variable_names_a_course(course, monkeypatch, tmp_path):
    assert curriculum.load() == course
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYTORCH_TEMPLATES", "course")
    assert curriculum.templates_folder() == tmp_path / "course"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("TINYTORCH_TEMPLATES", "~/course")
    assert curriculum.templates_folder() == tmp_path / "course"


@pytest.mark.parametrize("named", ["/does/not/exist", "~nobody-of-this-name/course"], ids=["nowhere", "no home"])
def test_a_variable_that_points_nowhere_is_told(monkeypatch, named):
    monkeypatch.setenv("TINYTORCH_TEMPLATES", named)
    with pytest.raises(ConfigError, match=rf"{named} is no course: No such file"):
        curriculum.load()


def test_what_is_written_has_its_content(course):
    assert [part.marker for part in course.parts if course.is_written(part)] == ["module01", "module02", "milestone01"]
    (course.folder / "milestones" / "01_1958_perceptron").rename(course.folder / "elsewhere")
    assert not course.is_written(course.milestone("01"))


def test_the_manifest_of_the_tiny_course_names_its_parts(course):
    """The fixture itself: ids that lie in the folders of the modules they are required of."""
    manifest = json.loads((course.folder / "required_tests.json").read_text())
    for part in course.parts:
        assert isinstance(part, (Module, Milestone))
        assert all(test.startswith(part.test_folder + "/") for test in manifest.get(part.marker, []))
