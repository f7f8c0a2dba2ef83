"""Collation turns a list of samples inside out: one batch of everything that a sample has."""
import numpy as np
import pytest

from tinytorch.core.dataloader import default_collate, fetch

pytestmark = pytest.mark.exercise("collate")

SIDE_BY_SIDE = "The samples lie end to end: a batch has a new first dimension, which np.stack makes."
LAST = "The new dimension is the last one: samples are counted by the first."
NOT_TURNED = "The pairs stayed pairs: turn a list of pairs into a pair of lists (zip), and collate each of those."
FLOAT64 = "Python floats became float64: Tensor(list) gives them float32, as everywhere in the course."
UNCHECKED = "Samples of different lengths were cut to the shortest: zip drops the rest without a word; compare the lengths."


def collated(student_side, samples):
    """The batch of samples which are parts of pairs: next to each stands a word."""
    words = [f"sample {number}" for number in range(len(samples))]
    batch, names = student_side.plain(default_collate(list(zip(samples, words))))
    assert names == words
    return batch


def test_numbers_become_a_tensor(student_side, hint):
    """Labels 3, 1 and 2 are a Tensor of three int64; floats become float32, and truth values bool."""
    labels = student_side.plain(default_collate([3, 1, 2]))
    assert labels.tolist() == [3, 1, 2]
    assert labels.dtype == np.int64
    floats = student_side.plain(default_collate([0.5, 0.25]))
    assert floats.tolist() == [0.5, 0.25]
    hint(FLOAT64, when=floats.dtype == np.float64)
    assert floats.dtype == np.float32
    truths = student_side.plain(default_collate([True, False]))
    assert truths.tolist() == [True, False]
    assert truths.dtype == np.bool_


@pytest.mark.parametrize("kind", ["tensors", "arrays"])
def test_rows_are_stacked(student_side, rng, hint, kind):
    """Three rows of two make a batch of shape (3, 2), in the dtype that they had."""
    for dtype in ("uint8", "int64", "float32", "float64", "bool"):
        rows = [np.asarray(rng.integers(0, 2, size=2), dtype) for _ in range(2)] + [np.ones(2, dtype)]
        samples = rows if kind == "arrays" else student_side.tensors(rows)
        out = collated(student_side, samples)
        hint(SIDE_BY_SIDE, when=out.shape == (6,))
        hint(LAST, when=out.shape == (2, 3))
        assert out.shape == (3, 2)
        assert str(out.dtype) == dtype
        assert out.tolist() == [row.tolist() for row in rows]


def test_samples_of_any_shape(student_side, rng):
    """The batch has one more dimension than a sample, in front, also when there is but one sample."""
    for shape in ((), (0,), (1,), (3, 2, 2)):
        images = [np.asarray(rng.normal(size=shape)) for _ in range(4)]
        for count in (4, 1):
            out = collated(student_side, student_side.tensors(images[:count]))
            np.testing.assert_array_equal(out, np.stack(images[:count]))


def test_numpy_numbers_keep_their_dtype(student_side):
    """Somebody chose it: np.float64 and np.int16 stay what they are."""
    for dtype in (np.float64, np.int16, np.uint8):
        out = collated(student_side, [dtype(2), dtype(3)])
        assert out.tolist() == [2, 3]
        assert out.dtype == dtype


def test_text_becomes_a_list(student_side):
    """There are no tensors of text."""
    for words in (["cat", "dog"], ("one", "", "two words")):
        out = student_side.plain(default_collate(words))
        assert isinstance(out, list)
        assert out == list(words)


@pytest.mark.parametrize("form", [tuple, list], ids=["tuples", "lists"])
def test_pairs_are_turned_inside_out(student_side, rng, hint, form):
    """Three pairs (image, label) become one pair: images (3, 2, 2) and labels (3,)."""
    images = rng.normal(size=(3, 2, 2))
    out = student_side.plain(default_collate([form([image, label]) for image, label in zip(images, [4, 5, 6])]))
    hint(NOT_TURNED, when=len(out) == 3)
    assert isinstance(out, tuple)
    assert len(out) == 2
    np.testing.assert_array_equal(out[0], images)
    assert out[1].tolist() == [4, 5, 6]


def test_dictionaries_by_key(student_side, rng):
    """Each key of the first sample gets a batch of its own; other keys don't matter."""
    images = rng.normal(size=(2, 3))
    samples = [{"image": images[0], "label": 1, "name": "a"}, {"name": "b", "label": 0, "image": images[1], "more": 5}]
    out = student_side.plain(default_collate(samples))
    assert list(out) == ["image", "label", "name"]
    np.testing.assert_array_equal(out["image"], images)
    assert out["label"].tolist() == [1, 0]
    assert out["name"] == ["a", "b"]


def test_what_is_inside_is_collated_too(student_side):
    """Pairs in dictionaries in pairs: each part is a batch in the end."""
    samples = [((1, {"at": (0.5, "x")}), 2), ((3, {"at": (1.5, "y")}), 4)]
    (first, inner), second = student_side.plain(default_collate(samples))
    assert first.tolist() == [1, 3]
    assert second.tolist() == [2, 4]
    position, name = inner["at"]
    assert position.tolist() == [0.5, 1.5]
    assert name == ["x", "y"]


@pytest.mark.parametrize(
    ("one", "other"), [((2, 3), (3, 2)), ((2,), (3,)), ((2,), (2, 1)), ((), (1,))],
    ids=["turned", "longer", "deeper", "number-and-row"],
)
def test_shapes_must_agree(student_side, one, other):
    """Images of two sizes make no batch; the error names both, also when the odd one comes last."""
    a, b = np.ones(one), np.ones(other)
    assert student_side.plain(default_collate([a, a])).tolist() == np.ones((2, *one)).tolist()
    for samples in ([a, b], [a, a, b]):
        with pytest.raises(ValueError, match=rf"{str(one)[:-1]}.*{str(other)[:-1]}".replace("(", r"\(")):
            default_collate(student_side.tensors(samples))


def test_dtypes_must_agree(student_side):
    """Labels 1 and 2.5 are of two minds; nothing is cast without a word, and the error names both dtypes."""
    assert collated(student_side, [1.0, 2.5]).tolist() == [1.0, 2.5]
    with pytest.raises(ValueError, match=r"int64.*float32"):
        default_collate([1, 2.5])
    with pytest.raises(ValueError, match=r"float32.*float64"):
        default_collate([np.ones(2, np.float32), np.ones(2, np.float32), np.ones(2)])


@pytest.mark.hint(pytest.fail.Exception, UNCHECKED)
@pytest.mark.parametrize("samples", [[(1, 2), (3, 4, 5)], [(1, 2, 3), (4, 5, 6), (7, 8)]], ids=["longer", "shorter"])
def test_lengths_of_tuples_must_agree(student_side, samples):
    """A sample with a part too many or too few is an error that names both lengths; nothing is left out quietly."""
    assert [x.tolist() for x in student_side.plain(default_collate([(1, 2), (3, 4)]))] == [[1, 3], [2, 4]]
    with pytest.raises(ValueError, match=rf"\b{len(samples[0])}\b.*\b{len(samples[-1])}\b"):
        default_collate(samples)


@pytest.mark.parametrize("samples", [[None, None], [1, None], [1, "a"]], ids=["nothing", "missing", "text-among"])
def test_what_is_no_number_is_refused(student_side, samples):
    """None is no sample, and text no number: a TypeError that says what can be collated."""
    assert student_side.plain(default_collate([1, 2])).tolist() == [1, 2]
    with pytest.raises(TypeError, match="number"):
        default_collate(samples)


def test_datasets_are_asked_one_by_one(student_side):
    """The base class makes a batch of single samples by collation; so does `fetch`, from a list as well."""
    dataset = student_side.Squares(10)
    rows, labels = student_side.plain(fetch(dataset, np.array([3, 0, 7])))
    assert rows.tolist() == [[3, 9], [0, 0], [7, 49]]
    assert labels.tolist() == [3, 0, 7]
    assert list(dataset.asked) == [3, 0, 7]
    assert student_side.plain(fetch([10, 20, 30], [2, 0])).tolist() == [30, 10]
