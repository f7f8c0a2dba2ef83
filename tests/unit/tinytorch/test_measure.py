import subprocess
import sys
import time as clock
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tinytorch import measure


def test_time_agrees_with_the_clock():
    seconds = measure.time(clock.sleep, 0.02)
    assert 0.02 <= seconds < 0.2


def test_time_of_a_slow_call_is_two_calls():
    calls = []

    def slow() -> None:
        calls.append(1)
        clock.sleep(0.03)

    measure.time(slow, budget=0.01)
    assert len(calls) == 2


def test_time_of_a_fast_call_is_bounded_and_resolved():
    start = clock.perf_counter()
    seconds = measure.time(abs, -1, budget=0.05)
    assert clock.perf_counter() - start < 1
    assert 0 < seconds < 1e-5


def test_time_leaves_the_warm_up_out():
    sleeps = iter([0.2])  # the first call only

    def warms_up() -> None:
        clock.sleep(next(sleeps, 0.0))

    assert measure.time(warms_up) < 0.1


def test_time_is_the_best_of_the_repeats():
    calls = []

    def slow_in_the_first_repeat() -> None:
        calls.append(1)
        clock.sleep(0.03 if len(calls) <= 2 else 0.002)

    assert measure.time(slow_in_the_first_repeat, budget=0.3) < 0.02


def test_time_lets_errors_through():
    with pytest.raises(ZeroDivisionError):
        measure.time(lambda: 1 / 0)


def test_allocation_tells_what_is_kept_from_what_was_needed_for_a_moment():
    def half() -> np.ndarray:
        whole = np.ones(200_000)
        return whole[:100_000] * 2.0

    kept, peak = measure.allocation(half)
    assert 800_000 <= kept < 900_000
    assert 2_400_000 <= peak < 2_500_000


def test_allocation_leaves_the_first_call_and_older_memory_out():
    held = [np.ones(100_000)]

    def fills_a_cache() -> None:
        if len(held) == 1:
            held.append(np.ones(100_000))

    assert measure.allocation(fills_a_cache).peak < 10_000


def test_allocation_leaves_a_trace_that_was_on_alone():
    tracemalloc.start()
    try:
        assert measure.allocation(np.zeros, 100_000).kept >= 800_000
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    measure.allocation(np.zeros, 10)
    assert not tracemalloc.is_tracing()


def test_cost_calls_the_function_with_float32_normals_of_each_size(capsys):
    seen = {}
    rows = measure.cost("sum", lambda x: seen.__setitem__(len(x), x), sizes=[10, 1000], per="element")
    assert [row.size for row in rows] == [10, 1000]
    assert all(row.seconds > 0 for row in rows)
    assert all(x.dtype == np.float32 and x.shape == (size,) for size, x in seen.items())
    assert abs(seen[1000].mean()) < 0.2
    assert abs(seen[1000].std() - 1) < 0.2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sum"
    assert lines[1].split() == ["size", "input", "time", "per", "element"]
    assert lines[3].split()[:3] == ["10", "40", "B"]
    assert lines[4].split()[:3] == ["1,000", "3.91", "KiB"]


def test_cost_without_per_has_no_such_column(capsys):
    measure.cost("sum", np.sum, sizes=[4])
    assert capsys.readouterr().out.splitlines()[1].split() == ["size", "input", "time"]


def test_cost_leaves_the_process_wide_generator_alone():
    from tinytorch import random

    before = random.get_state()
    measure.cost("sum", np.sum, sizes=[4])
    assert random.get_state() == before


def test_table_aligns_numbers_right_and_words_left(capsys):
    rows = [["fc1", 200960, 0.5], ["output", np.int64(1290), 12.34567]]
    measure.table(["layer", "parameters", "seconds"], rows, "MLP")
    assert capsys.readouterr().out.splitlines() == [
        "MLP",
        "layer   parameters  seconds",
        "------  ----------  -------",
        "fc1        200,960      0.5",
        "output       1,290    12.35",
    ]


def test_table_keeps_words_bools_and_none(capsys):
    measure.table(["a", "b", "c"], [[True, None, "2 of 3"], [False, "x", "10 of 12"]])
    assert capsys.readouterr().out.splitlines()[2:] == ["True   None    2 of 3", "False  x     10 of 12"]


def test_table_without_rows_is_its_headers(capsys):
    measure.table(["size", "time"], [])
    assert capsys.readouterr().out == "size  time\n----  ----\n"


def test_table_refuses_a_row_of_another_length():
    with pytest.raises(ValueError, match="row 2 has 1 entries, but there are 2 headers"):
        measure.table(["a", "b"], [[1, 2], [3]])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ns"), (3.2e-8, "32 ns"), (9.999e-7, "1 us"), (1.25e-3, "1.25 ms"), (0.99996, "1 s"), (4000, "4,000 s")],
    ids=["zero", "nanoseconds", "rounds up", "milliseconds", "rounds to seconds", "thousands"],
)
def test_duration_has_a_fitting_unit(seconds, text):
    assert measure.duration(seconds) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1 KiB"), (3_000_000, "2.86 MiB"), (5 * 2**30, "5 GiB")],
    ids=["zero", "bytes", "kibibytes", "mebibytes", "gibibytes"],
)
def test_memory_has_a_fitting_unit(nbytes, text):
    assert measure.memory(nbytes) == text


def test_plot_draws_each_value_in_its_place(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    measure.plot({"errors": [0, 11, 0]}, title="Perceptron", x="epoch", y="wrong")
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert out.isascii()
    assert max(map(len, lines)) == 40
    assert lines[:2] == ["Perceptron", "wrong"]
    canvas = [line[4:] for line in lines[2:14]]
    assert canvas[0].strip() in ("*", "**")  # the peak, in the middle of 36 columns
    assert 17 <= canvas[0].index("*") <= 18
    assert canvas[-1][0] == canvas[-1][-1] == "*"
    assert (lines[2][:4], lines[13][:4]) == ("11 |", " 0 |")
    assert lines[-2].split() == ["1", "epoch", "3"]
    assert lines[-1].strip() == "* errors"


def test_plot_places_points_by_position(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    measure.plot({"line": [[0, 10, 100], [0, 1, 1]]})
    top = capsys.readouterr().out.splitlines()[0]
    assert top.index("*") < 10  # the second point stands at a tenth of the width


def test_plot_keeps_a_peak_between_two_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    heights = np.zeros(10_000)
    heights[4321] = 1
    measure.plot({"loss": heights})
    assert "*" in capsys.readouterr().out.splitlines()[0]


def test_plot_tells_several_series_apart(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    measure.plot({"train": [1, 0], "test": [1, 0.5]})
    *canvas, legend = capsys.readouterr().out.splitlines()
    assert legend.strip() == "* train   o test"
    assert {"*", "o"} <= set("".join(canvas))


def test_plot_gives_long_legends_a_line_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    measure.plot({"the training set": [1, 2], "the set held out": [2, 1]})
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines[-2:]] == ["* the training set", "o the set held out"]
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize(
    "heights",
    [[2.0], [2.0, 2.0], [np.nan, 2.0, np.inf], [-1e300, 1e300]],
    ids=["one value", "constant", "not all finite", "huge"],
)
def test_plot_of_awkward_values_still_draws(capsys, heights):
    measure.plot({"loss": heights})
    out = capsys.readouterr().out
    assert "*" in out.splitlines()[0] + out.splitlines()[11]
    assert "nan" not in out


def test_plot_says_when_nothing_is_finite(capsys):
    measure.plot({"loss": [np.nan, np.inf]}, title="Diverged")
    assert capsys.readouterr().out == "Diverged\n(no finite values to draw)\n"


def test_plot_without_series_is_an_error():
    with pytest.raises(ValueError, match="no series"):
        measure.plot({})


@pytest.mark.parametrize(
    ("values", "shape"),
    [([], r"\(0,\)"), (3.0, r"\(\)"), (np.zeros((3, 4)), r"\(3, 4\)"), (np.zeros((2, 0)), r"\(2, 0\)")],
    ids=["empty", "scalar", "three rows", "no points"],
)
def test_plot_of_a_wrong_shape_names_series_and_shape(values, shape):
    with pytest.raises(ValueError, match=f"'loss' has shape {shape}"):
        measure.plot({"loss": values})


def test_save_plot_writes_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    path = measure.save_plot(tmp_path / "loss", {"train": [3, 2, 1]}, title="Loss", x="epoch", y="nats")
    assert path == tmp_path / "loss.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_save_plot_keeps_the_suffix_that_it_is_given(tmp_path):
    pytest.importorskip("matplotlib")
    path = measure.save_plot(tmp_path / "loss.svg", {"train": [3, 2, 1]})
    assert path == tmp_path / "loss.svg"
    assert b"<svg" in path.read_bytes()


def test_save_plot_without_matplotlib_writes_the_drawing(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setenv("COLUMNS", "80")
    path = measure.save_plot(str(tmp_path / "loss.png"), {"train": [3, 2, 1]}, title="Loss")
    measure.plot({"train": [3, 2, 1]}, title="Loss")
    assert path == tmp_path / "loss.txt"
    assert path.read_text("utf-8") == capsys.readouterr().out


def test_save_plot_leaves_no_figure_behind_and_import_brings_no_matplotlib(tmp_path):
    """In a fresh process, since other tests may have imported pyplot."""
    code = (
        "import sys; from tinytorch import measure; early = 'matplotlib' in sys.modules; "
        "measure.save_plot('loss.png', {'a': [1, 2]}); print(early, 'matplotlib.pyplot' in sys.modules)"
    )
    pytest.importorskip("matplotlib")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert [path.name for path in Path(tmp_path).iterdir()] == ["loss.png"]
