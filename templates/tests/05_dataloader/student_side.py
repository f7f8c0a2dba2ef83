"""What has to run beside your code: datasets that derive from yours, functions that it calls back, threads, and memory."""
import threading
import time

import numpy as np

from tinytorch import random
from tinytorch.core.dataloader import DataLoader, Dataset, TensorDataset
from tinytorch.core.tensor import Tensor


class Squares(Dataset):
    """Sample i is (the tensor [i, i * i], i); it notes which samples were asked for, and by what type of number."""

    def __init__(self, length, broken=None):
        self.length, self.broken = length, broken
        self.asked, self.types, self.threads = [], set(), set()

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index == self.broken:
            raise ValueError(f"sample {index} is damaged")
        self.asked.append(int(index))
        self.types.add(type(index).__name__)
        self.threads.add(threading.get_ident())
        return Tensor(np.array([index, index * index])), index


class Noted(TensorDataset):
    """Notes how it was asked for batches."""

    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.batches, self.singles = [], 0

    def __getitem__(self, index):
        self.singles += 1
        return super().__getitem__(index)

    def __getitems__(self, indices):
        self.batches.append(np.asarray(indices).tolist())
        return super().__getitems__(indices)


class Listening(np.ndarray):
    """An array that counts how often it is asked for a part."""

    def __array_finalize__(self, parent):
        self.asked = 0

    def __getitem__(self, index):
        self.asked += 1
        return np.asarray(self).__getitem__(index)


def lookups_of_a_batch(array, indices):
    """A batch of a TensorDataset: the rows, and how often the dataset reached into the array for them."""
    tensor = Tensor(array)
    tensor.data = listening = array.view(Listening)
    (rows,) = TensorDataset(tensor).__getitems__(indices)
    return np.asarray(rows.data), listening.asked


def stored(array):
    """A TensorDataset around an array: is a sample, is a batch in the array's memory?"""
    dataset = TensorDataset(Tensor(array))
    (row,), (rows,) = dataset[1], dataset.__getitems__([1, 2])
    return np.shares_memory(row.data, array), np.shares_memory(rows.data, array)


def plain(value):
    """Tensors as arrays, however they are packed."""
    if isinstance(value, (list, tuple)):
        return type(value)([plain(item) for item in value])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.numpy().copy() if hasattr(value, "numpy") else value


def tensors(arrays):
    return [Tensor(array) for array in arrays]


def samples_of(dataset):
    """What a loop over a dataset sees; it ends by an IndexError."""
    return [plain(sample) for sample in dataset]


def indices_of(parts):
    """The numbers of each part of a split, and its length."""
    return [np.asarray(part.indices).tolist() for part in parts], [len(part) for part in parts]


def cut_shares_memory(cut, order):
    return [np.shares_memory(part, order) for part in cut(order, 4, False)]


def epoch(iterable):
    """Everything in it, as plain data."""
    return [plain(item) for item in iterable]


def firsts(iterable, count):
    """The first batches only, as a loop that is left by `break` takes them."""
    taken = []
    for item in iterable:
        taken.append(plain(item))
        if len(taken) == count:
            break
    return taken


def asked_while_loading(length, taken, **options):
    """The samples that a loader asked a dataset for, before the first batch and after each of the `taken` first."""
    dataset = Squares(length)
    batches = DataLoader(dataset, **options).batches()
    asked = [list(dataset.asked)]
    for _ in range(taken):
        next(batches)
        asked.append(list(dataset.asked))
    return asked


def threads_that_load(prefetch):
    """An epoch's labels, and whether the samples were loaded by the caller's own thread, by another, or by both."""
    dataset = Squares(6)
    batches = epoch(DataLoader(dataset, 4, prefetch=prefetch))
    return [batch[1].tolist() for batch in batches], [thread == threading.get_ident() for thread in dataset.threads]


def add_noise(images, rng=None):
    """A transform: a draw per image is added to it."""
    x = images.numpy()
    return Tensor(x + rng.random(len(x)).reshape(-1, *[1] * (x.ndim - 1)))


def negative(images, rng=None):
    return Tensor(-images.numpy())


def double(images, rng=None):
    return Tensor(2 * images.numpy())


def largest_and_count(samples):
    """A collate_fn: a single Tensor, the largest label and how many samples there are."""
    return Tensor([max(label for _, label in samples), len(samples)])


def as_list(samples):
    """A collate_fn that returns a list: inputs, labels, and a word."""
    return [Tensor(np.stack([x.numpy() for x, _ in samples])), Tensor([label for _, label in samples]), "word"]


def rows_and_labels(samples):
    """A collate_fn for samples that are plain numbers."""
    return Tensor([[float(number)] for number in samples])


def seed(number):
    random.manual_seed(number)


def draw():
    """The next number of the process-wide generator."""
    return float(random.generator().random())


def generator(number):
    return np.random.default_rng(number)


def numbers(count):
    """Jobs that return 0, 1, 2 and so on, squared."""
    return [lambda number=number: number * number for number in range(count)]


def results(prefetched, count, ahead):
    return list(prefetched(numbers(count), ahead))


def submitted(prefetched, count, ahead, taken):
    """How many jobs have been taken from the queue after each of the first `taken` results."""
    began, seen = [], []

    def jobs():
        for number, job in enumerate(numbers(count)):
            began.append(number)
            yield job

    iterator = iter(prefetched(jobs(), ahead))
    for _ in range(taken):
        next(iterator)
        seen.append(len(began))
    iterator.close()
    return seen


def runs_by_itself(prefetched, ahead, patience=3.0):
    """Is the job after the first result run although nobody asks for its result?"""
    done = threading.Event()
    iterator = iter(prefetched([lambda: 0, lambda: done.set() or 1, lambda: 2], ahead))
    first = next(iterator)
    ran = done.wait(patience)
    return [first, ran, *iterator]


def threads_of(prefetched, count, ahead):
    """Where the jobs ran: how many threads, and whether the caller's is among them."""
    second = threading.Event()

    def wait_for_the_second():
        second.wait(0.05)  # time enough for another thread, if there is one, to begin with the second job
        return threading.get_ident()

    def job():
        second.set()
        return threading.get_ident()

    ran = list(prefetched([wait_for_the_second, *[job] * (count - 1)], ahead))
    return len(set(ran)), threading.get_ident() in ran


def failing(prefetched, at, ahead):
    """Jobs of which number `at` fails: the results before it, what was raised, and whether more comes after it."""

    def fail():
        raise ValueError(f"job {at} failed")

    jobs = numbers(at + 3)
    jobs[at] = fail
    iterator, results = iter(prefetched(jobs, ahead)), []
    try:
        for result in iterator:
            results.append(result)
    except ValueError as error:
        return results, str(error), list(iterator)
    return results, "nothing was raised", []


def left_early(prefetched, count, ahead):
    """Take one result and leave: threads at work afterwards that weren't before, jobs that have run, in another thread?"""
    before, leaving, ran = set(threading.enumerate()), threading.Event(), []

    def job():
        ran.append(threading.get_ident())
        if len(ran) > 1:
            leaving.wait(0.03)
            time.sleep(0.003)  # jobs that take a while, so that there is something to leave
        return len(ran)

    iterator = iter(prefetched([job] * count, ahead))
    next(iterator)
    leaving.set()
    iterator.close()
    return len(set(threading.enumerate()) - before), len(ran), threading.get_ident() not in ran


def overlapped(images, transform, seed):
    """A transform's result, its input afterwards, and whether the two share memory."""
    array = images.copy()
    result = transform(Tensor(array), np.random.default_rng(seed))
    return result.data, array, np.shares_memory(result.data, array)


def transformed(transform, array, seed):
    return transform(Tensor(array.copy()), np.random.default_rng(seed)).numpy()


def has_history(transform, array, seed=0):
    """Whether the result of a transform remembers how it was computed."""
    result = transform(Tensor(array, requires_grad=True), np.random.default_rng(seed))
    return result.requires_grad, result.numpy()


def recorded(log, number):
    """A transform that adds a number and notes a draw in `log`."""

    def transform(images, rng=None):
        log.append(float(rng.random()))
        return Tensor(images.numpy() * 10 + number)

    return transform


def composed(compose, array, seed):
    """Three transforms in a row: the result, and what each of them drew."""
    log = []
    result = compose([recorded(log, 1), recorded(log, 2), recorded(log, 3)])(Tensor(array), np.random.default_rng(seed))
    return result.numpy(), log
