"""Every image is flipped and cropped by a draw of its own, and transforms can be chained."""
import numpy as np
import pytest

from tinytorch.core.dataloader import Compose, RandomCrop, RandomHorizontalFlip
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("augmentation")

UPSIDE_DOWN = "The images stand on their heads: left and right are the columns, the last dimension."
CHANNELS = "The channels were reversed: left and right are the columns, the last dimension."
ALL_OR_NONE = "All images of the batch were flipped, or none: draw for each of them, shape x.shape[:-3]."
SHARE = "p is the share that is flipped, not the share that stays."
IN_PLACE = "The images that were given were changed: work on a copy."
ONE_PLACE = "All images of the batch were cropped at the same place: draw a row and a column for each."
NOT_LAST = "The last row and column are never reached: integers(n) excludes n, and there are H - h + 1 places."
DIAGONAL = "Row and column are always the same number: draw each by itself."
EXCHANGED = "Rows and columns are exchanged: size is (height, width), padding (left and right, above and below)."
WRAPPED = "Around the image are its own pixels: the padding is zeros."
NOT_CHAINED = "Each transform was given the first image: hand the result of one to the next."
NO_RNG = "The transforms in the chain got no rng: pass it on."
IGNORED = "The transform passes over the rng it was given."


def numbered(*shape, dtype=np.int64):
    """Every pixel has a number of its own, from 1 on."""
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)


def places(crops, images, size):
    """Where each crop was taken: by looking it up among all windows of its image."""
    found = []
    for crop, image in zip(crops, images):
        h, w = size
        rows, columns = image.shape[-2] - h + 1, image.shape[-1] - w + 1
        found.append([(i, j) for i in range(rows) for j in range(columns) if np.array_equal(image[:, i : i + h, j : j + w], crop)])
    return found


def padded(x, side, top):
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(top, top), (side, side)])


def test_flip_by_hand(student_side, hint):
    """With p = 1 every image is mirrored: left and right change places. With p = 0 none is."""
    x = np.array([[[1, 2, 3], [4, 5, 6]]])
    out = student_side.transformed(RandomHorizontalFlip(1.0), x, 0)
    hint(UPSIDE_DOWN, when=np.array_equal(out, x[:, ::-1]))
    assert out.tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert student_side.transformed(RandomHorizontalFlip(0.0), x, 0).tolist() == x.tolist()


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,)], ids=["image", "batch", "batches", "empty"])
def test_flip_keeps_shape_and_dtype(student_side, rng, hint, batch):
    """One image or many, bytes or floats."""
    for dtype in ("uint8", "float32", "bool"):
        x = np.asarray(rng.integers(0, 2, size=(*batch, 2, 3, 4)), dtype)
        out = student_side.transformed(RandomHorizontalFlip(1.0), x, 0)
        assert out.shape == x.shape
        assert str(out.dtype) == dtype
        different = not np.array_equal(out, x[..., ::-1])
        hint(CHANNELS, when=different and np.array_equal(out, np.flip(x, -3)))
        hint(UPSIDE_DOWN, when=different and np.array_equal(out, np.flip(x, -2)))
        np.testing.assert_array_equal(out, x[..., ::-1])
    image = np.asarray(numbered(1, 1, 2), np.float32)
    assert student_side.transformed(RandomHorizontalFlip(1.0), image, 0).tolist() == [[[2, 1]]]


@pytest.mark.parametrize("p", [0.5, 0.1, 0.9], ids=["half", "tenth", "most"])
def test_flip_draws_for_each_image(student_side, rng, hint, p):
    """Of 2,000 images a share of p is mirrored, within six sigma, and all others are as they were."""
    x = numbered(2000, 1, 2, 2)
    out = student_side.transformed(RandomHorizontalFlip(p), x, int(rng.integers(2**31)))
    flipped = out[:, 0, 0, 0] != x[:, 0, 0, 0]
    np.testing.assert_array_equal(out, np.where(flipped[:, None, None, None], x[..., ::-1], x))
    hint(ALL_OR_NONE, when=len(set(flipped.tolist())) == 1)
    within = 6 * np.sqrt(p * (1 - p) / 2000)
    hint(SHARE, when=p != 0.5 and abs(flipped.mean() - (1 - p)) < within)
    assert abs(flipped.mean() - p) < within


def test_flip_of_a_single_image_is_drawn_too(student_side, rng):
    """One image, (C, H, W): sometimes mirrored and sometimes not, but always whole."""
    x, seeds = numbered(2, 2, 3), rng.integers(2**31, size=60)
    outs = [student_side.transformed(RandomHorizontalFlip(), x, int(seed)).tolist() for seed in seeds]
    assert all(out in (x.tolist(), x[..., ::-1].tolist()) for out in outs)
    assert x.tolist() in outs
    assert x[..., ::-1].tolist() in outs


def test_flip_of_many_batch_dimensions(student_side, rng):
    """Each image of shape (2, 50) of them by its own draw."""
    x = numbered(2, 50, 1, 1, 2)
    out = student_side.transformed(RandomHorizontalFlip(), x, int(rng.integers(2**31)))
    flipped = out[..., 0, 0, 0] != x[..., 0, 0, 0]
    np.testing.assert_array_equal(out, np.where(flipped[..., None, None, None], x[..., ::-1], x))
    assert 10 < flipped.sum() < 90
    assert not np.array_equal(flipped[0], flipped[1])


def test_crop_of_the_whole_image(student_side):
    """A window as large as the image, padded or not, has one place."""
    x = numbered(2, 3, 4, 5)
    assert student_side.transformed(RandomCrop((4, 5)), x, 0).tolist() == x.tolist()
    assert student_side.transformed(RandomCrop(3, 1), numbered(1, 1, 1), 0).tolist() == [[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]


@pytest.mark.parametrize("batch", [(), (6,), (2, 3), (0,)], ids=["image", "batch", "batches", "empty"])
def test_crop_shape_and_dtype(student_side, rng, batch):
    """(..., C, H, W) becomes (..., C, h, w); the dtype stays, and every crop is a window of its own image."""
    for dtype in ("uint8", "float32", "bool"):
        x = np.asarray(rng.integers(0, 2, size=(*batch, 2, 5, 6)), dtype)
        out = student_side.transformed(RandomCrop((3, 4), padding=1), x, int(rng.integers(2**31)))
        assert out.shape == (*batch, 2, 3, 4)
        assert str(out.dtype) == dtype
        flat, images = out.reshape(-1, 2, 3, 4), padded(x, 1, 1).reshape(-1, 2, 7, 8)
        assert all(places(flat, images, (3, 4)))
    assert student_side.transformed(RandomCrop(2), numbered(1, 2, 2), 0).tolist() == [[[1, 2], [3, 4]]]


def test_crops_are_drawn_for_each_image(student_side, rng, hint):
    """Each image of a batch is cropped at a place of its own, all its channels at the same."""
    x = numbered(60, 2, 5, 6)
    out = student_side.transformed(RandomCrop((3, 3)), x, int(rng.integers(2**31)))
    found = places(out, x, (3, 3))
    assert all(len(place) == 1 for place in found), "not every crop is a window of its image"
    where = [place[0] for place in found]
    hint(ONE_PLACE, when=len(set(where)) == 1)
    hint(DIAGONAL, when=1 < len(set(where)) <= 4 and all(row == column or row == 2 for row, column in where))
    assert len(set(where)) > 4


def test_every_place_is_equally_likely(student_side, rng, hint):
    """Windows of 2 x 3 in images of 3 x 5: 2 rows times 3 columns of places, each in a sixth of 3,000 images."""
    x = numbered(3000, 1, 3, 5)
    out = student_side.transformed(RandomCrop((2, 3)), x, int(rng.integers(2**31)))
    assert out.shape == (3000, 1, 2, 3)
    first = out[:, 0, 0, 0] - x[:, 0, 0, 0]
    rows, columns = first // 5, first % 5
    np.testing.assert_array_equal(out, x[:, :, :2, :3] + first[:, None, None, None])
    hint(NOT_LAST, when=(rows.max() == 0 or columns.max() == 1) and len(set(first.tolist())) > 1)
    share = np.array([[((rows == i) & (columns == j)).mean() for j in range(3)] for i in range(2)])
    np.testing.assert_allclose(share, np.full((2, 3), 1 / 6), atol=6 * np.sqrt(5 / 36 / 3000))


def test_padding_is_zeros(student_side, rng, hint):
    """With a padding of 2, an image of 3 x 3 becomes 7 x 7: its own pixels in the middle, zeros around them."""
    x = numbered(1, 1, 3, 3)
    out = student_side.transformed(RandomCrop(7, padding=2), x, int(rng.integers(2**31)))
    hint(WRAPPED, when=out.shape == (1, 1, 7, 7) and out[0, 0, 0, 0] != 0)
    np.testing.assert_array_equal(out, np.pad(x, [(0, 0), (0, 0), (2, 2), (2, 2)]))
    np.testing.assert_array_equal(student_side.transformed(RandomCrop((3, 3)), x, 0), x)


def test_padded_places_are_all_reached(student_side, rng):
    """A pixel with a border of 1 has nine windows of one pixel, and eight of them are zero."""
    x = np.full((4000, 1, 1, 1), 7)
    out = student_side.transformed(RandomCrop(1, padding=1), x, int(rng.integers(2**31)))
    assert set(np.unique(out).tolist()) <= {0, 7}
    assert abs((out == 7).mean() - 1 / 9) < 6 * np.sqrt(8 / 81 / 4000)


def test_size_and_padding_per_direction(student_side, rng, hint):
    """size is (height, width); padding, in torchvision's order, (left and right, above and below)."""
    x = numbered(2, 1, 2, 3)
    out = student_side.transformed(RandomCrop((6, 5), padding=(1, 2)), x, 0)
    hint(EXCHANGED, when=out.shape == (2, 1, 5, 6))
    assert out.shape == (2, 1, 6, 5)
    np.testing.assert_array_equal(out, padded(x, 1, 2))
    seeds = rng.integers(2**31, size=40)
    shifted = {tuple(student_side.transformed(RandomCrop((2, 3), padding=(1, 0)), x[0], int(s))[0, 0].tolist()) for s in seeds}
    assert shifted == {(0, 1, 2), (1, 2, 3), (2, 3, 0)}


def test_window_larger_than_the_image(student_side):
    """An image of 3 x 4, padded or not, has no window larger than itself; the error names both sizes."""
    x = numbered(1, 3, 4)
    assert student_side.transformed(RandomCrop((3, 4)), x, 0).tolist() == x.tolist()
    for size, padding, sizes in (
        ((4, 3), 0, "4, 3.*3, 4"), ((3, 5), 0, "3, 5.*3, 4"), (6, 1, "6, 6.*5, 6"), ((3, 7), (1, 4), "3, 7.*11, 6"),
    ):
        with pytest.raises(ValueError, match=sizes):
            student_side.transformed(RandomCrop(size, padding), x, 0)


@pytest.mark.parametrize("name", ["flip", "crop", "padded"])
def test_images_stay_as_they_are(student_side, rng, hint, name):
    """The images that were given are the dataset's, or somebody's: the result is new memory."""
    transform = {"flip": RandomHorizontalFlip(1.0), "crop": RandomCrop((2, 3)), "padded": RandomCrop(4, padding=1)}[name]
    x = rng.normal(size=(5, 2, 4, 3))
    out, after, shared = student_side.overlapped(x, transform, 3)
    hint(IN_PLACE, when=not np.array_equal(after, x))
    np.testing.assert_array_equal(after, x)
    assert shared is False
    if name == "flip":
        np.testing.assert_array_equal(out, x[..., ::-1])
    else:
        assert all(places(out, padded(x, 1, 1), out.shape[-2:]))
        assert out.shape[-2:] == ((2, 3) if name == "crop" else (4, 4))


@pytest.mark.parametrize("name", ["flip", "crop"])
def test_one_seed_one_result(student_side, rng, hint, name):
    """The rng that is given decides; without one, the common generator does."""
    transform = {"flip": RandomHorizontalFlip(), "crop": RandomCrop((3, 3), padding=2)}[name]
    x, seed = numbered(200, 1, 4, 4), int(rng.integers(2**31))
    student_side.seed(1)
    one = student_side.transformed(transform, x, seed)
    other = student_side.transformed(transform, x, seed)
    third = student_side.transformed(transform, x, seed + 1)
    hint(IGNORED, when=not np.array_equal(one, other))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)
    common = []
    for number in (seed, seed, seed + 1):
        student_side.seed(number)
        common.append(transform(Tensor(x)).numpy())
    np.testing.assert_array_equal(common[0], common[1])
    assert not np.array_equal(common[0], common[2])


def test_chain_by_hand(student_side, rng, hint):
    """Each of three transforms appends its number: 5 becomes 5123. They draw one after the other from one rng."""
    seed = int(rng.integers(2**31))
    out, drawn = student_side.composed(Compose, np.array([5, 6]), seed)
    hint(NOT_CHAINED, when=out.tolist() == [53, 63])
    assert out.tolist() == [5123, 6123]
    assert drawn == np.random.default_rng(seed).random(3).tolist()


@pytest.mark.hint(AttributeError, NO_RNG)
def test_chain_passes_its_rng_on(student_side, rng):
    """The transform gets the rng, and draws the same as by itself."""
    x, seed = rng.normal(size=(4, 2)), int(rng.integers(2**31))
    out = student_side.transformed(Compose([student_side.double, student_side.add_noise]), x, seed)
    np.testing.assert_allclose(out, 2 * x + np.random.default_rng(seed).random(4)[:, None], rtol=1e-12)


def test_chain_of_nothing(student_side, rng):
    """Without transforms the images come back; with one it is that one."""
    x = rng.normal(size=(2, 3))
    np.testing.assert_array_equal(student_side.transformed(Compose([]), x, 0), x)
    np.testing.assert_array_equal(student_side.transformed(Compose([student_side.negative]), x, 0), -x)


def test_p_is_a_probability(student_side):
    """From 0 to 1, ends included."""
    assert student_side.transformed(RandomHorizontalFlip(1), numbered(1, 1, 2), 0).tolist() == [[[2, 1]]]
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match=str(p)):
            RandomHorizontalFlip(p)


def test_no_graph(student_side, rng):
    """Images are not trained: the result doesn't require a gradient, even if they do."""
    x = rng.normal(size=(2, 1, 2, 2))
    for transform, expected in ((RandomHorizontalFlip(1.0), x[..., ::-1]), (RandomCrop(2), x)):
        requires_grad, out = student_side.has_history(transform, x)
        assert requires_grad is False
        np.testing.assert_array_equal(out, expected)
