"""One thread works ahead: the results are the same, some of them are ready before they are asked for."""
import numpy as np
import pytest

from tinytorch.core.dataloader import DataLoader, TensorDataset, prefetched

pytestmark = pytest.mark.exercise("prefetch")

NOT_AHEAD = "The next job runs only when its result is asked for: submit `count` jobs beyond the one that is handed out."
TOO_MANY = "All jobs were submitted at once: as many batches would be in memory. Keep `count` of them ahead."
ONE_SHORT = "One job too few is ahead: when a result is handed out, `count` more have been submitted."
OWN_THREAD = "The jobs ran in the caller's own thread: submit them to a ThreadPoolExecutor(1)."
LEFT_ALONE = "The thread goes on after the loop was left: shut the pool down in a `finally`."
NOT_CANCELLED = "Leaving the loop waited for all jobs that had been submitted: shutdown(cancel_futures=True) drops them."
TAIL = "The last results are missing: when there are no more jobs, the futures in the queue still have theirs."
ORDER = "The results are in another order than the jobs: take them from the queue's left side."


@pytest.mark.parametrize("ahead", [1, 2, 5, 50], ids=["one", "two", "five", "more-than-there-are"])
def test_results_in_order(student_side, hint, ahead):
    """However many are ahead: the results of all jobs, in the jobs' order."""
    for count in (7, 2, 1, 0):
        results = student_side.results(prefetched, count, ahead)
        squares = [number * number for number in range(count)]
        hint(TAIL, when=len(results) < count and results == squares[: len(results)])
        hint(ORDER, when=len(results) == count and results != squares and sorted(results) == squares)
        assert results == squares


@pytest.mark.parametrize("ahead", [1, 2, 4], ids=["one", "two", "four"])
def test_as_many_jobs_ahead_as_asked_for(student_side, hint, ahead):
    """When result i is handed out, jobs up to i + count have been submitted, and no more: each will hold a batch."""
    seen = student_side.submitted(prefetched, 10, ahead, 8)
    hint(TOO_MANY, when=seen == [10] * 8)
    hint(NOT_AHEAD, when=seen == list(range(1, 9)))
    hint(ONE_SHORT, when=ahead > 1 and seen == [min(10, number + ahead) for number in range(8)])
    assert seen == [min(10, number + 1 + ahead) for number in range(8)]


def test_the_next_job_runs_by_itself(student_side, hint):
    """While the caller works on the first result, the thread works on the second."""
    first, ran, *rest = student_side.runs_by_itself(prefetched, 1)
    hint(NOT_AHEAD, when=ran is False)
    assert ran is True
    assert [first, *rest] == [0, 1, 2]


def test_jobs_run_in_one_other_thread(student_side, hint):
    """One thread for all jobs, and not the caller's."""
    count, own = student_side.threads_of(prefetched, 6, 2)
    hint(OWN_THREAD, when=own is True)
    assert (count, own) == (1, False)


@pytest.mark.parametrize("at", [0, 2], ids=["first", "third"])
def test_error_comes_out_in_its_place(student_side, at):
    """The results before it are handed out, then the job's own error; after that there is nothing."""
    for ahead in (1, 3):
        assert student_side.failing(prefetched, at, ahead) == ([n * n for n in range(at)], f"job {at} failed", [])


def test_loop_that_is_left_early(student_side, hint):
    """Its thread has ended by then, and most of the jobs that were waiting never begin."""
    threads, ran, elsewhere = student_side.left_early(prefetched, 80, 70)
    hint(LEFT_ALONE, when=threads > 0)
    assert threads == 0
    hint(NOT_CANCELLED, when=ran > 40 and elsewhere)
    assert ran <= 40
    assert student_side.results(prefetched, 3, 2) == [0, 1, 4]


@pytest.mark.parametrize("ahead", [1, 2, 9], ids=["one", "two", "all"])
def test_batches_are_the_same(student_side, rng, ahead):
    """Order, transforms and the place to start: with prefetch every batch is the same, bit for bit."""
    x, seed = rng.normal(size=(20, 3)), int(rng.integers(2**31))
    dataset = TensorDataset(*student_side.tensors([x, np.arange(20)]))
    runs = []
    for prefetch in (0, ahead):
        loader = DataLoader(
            dataset, 3, shuffle=True, prefetch=prefetch, transform=student_side.add_noise, rng=student_side.generator(seed)
        )
        runs.append([*student_side.epoch(loader), *student_side.epoch(loader.batches(start=4))])
    assert len(runs[0]) == len(runs[1]) == 10
    for (inputs, labels), (expected, numbers) in zip(runs[1], runs[0]):
        np.testing.assert_array_equal(inputs, expected)
        assert labels.tolist() == numbers.tolist()
        noise = inputs[:, 0] - x[numbers][:, 0]
        assert ((noise > 0) & (noise < 1)).all()


def test_loader_hands_its_batches_to_prefetched(student_side):
    """With prefetch=2 another thread loads. When the first batch is there, two more may be; the rest waits."""
    assert student_side.threads_that_load(2) == ([[0, 1, 2, 3], [4, 5]], [False])
    batches = student_side.firsts(DataLoader(student_side.Squares(40), 4, prefetch=2), 3)
    assert [batch[1].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    dataset = student_side.Squares(40)
    student_side.firsts(DataLoader(dataset, 4, prefetch=2), 1)
    assert list(dataset.asked)[:4] == [0, 1, 2, 3]
    assert len(dataset.asked) <= 12


def test_error_in_a_dataset_with_prefetch(student_side):
    """A damaged sample is found while an earlier batch is in use, and reported at its own."""
    loader = DataLoader(student_side.Squares(9, broken=7), 3, prefetch=2)
    batches = student_side.firsts(loader, 2)
    assert [batch[1].tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="sample 7 is damaged"):
        student_side.epoch(loader)
