"""The batch of a step is a function of (seed, step): one contract for every source."""

import threading
import time
import weakref
from contextlib import closing
from itertools import chain, islice

import pytest
import torch

from variate.errors import DataError
from variate.training.batches import Feed, MemorySource, Source
from variate.training.stream import StreamSource

SIZES = (7, 1, 12, 5, 0, 9, 3, 8)
N = sum(SIZES)


def numbered():
    """Items whose two values are both their row number."""
    return torch.arange(N).repeat(2, 1).T.contiguous()


def streamed(window=3, log=None):
    blocks = []
    for i, block in enumerate(numbered().split(SIZES)):

        def read(i=i, block=block):
            if log is not None:
                log.append(i)
            return block

        blocks.append(read)
    return StreamSource(blocks, SIZES, window)


SOURCES = {
    "memory": lambda: MemorySource(numbered()),
    "stream": streamed,
    "stream, one block at a time": lambda: streamed(1),
    "stream, all blocks at once": lambda: streamed(100),
}


@pytest.fixture(params=SOURCES)
def source(request):
    return SOURCES[request.param]()


def take(source, start, number, size=8, seed=0, rank=0, world=1):
    with closing(source.batches(start, size, seed, rank, world)) as stream:
        return [batch[:, 0].tolist() for batch in islice(stream, number)]


def flattened(batches):
    return list(chain.from_iterable(batches))


def test_it_is_a_source(source):
    assert isinstance(source, Source)
    assert source.items == N


@pytest.mark.parametrize("size", [1, 8, N - 1, N])
def test_every_epoch_holds_every_item_once(source, size):
    flat = flattened(take(source, 0, 4 * N // size, size))
    for epoch in range(3):
        assert sorted(flat[epoch * N : (epoch + 1) * N]) == list(range(N))
    assert flat[:N] != flat[N : 2 * N]


def test_all_batches_have_the_same_size_and_whole_items(source):
    with closing(source.batches(0, 8, 0)) as stream:
        for batch in islice(stream, 30):
            assert batch.shape == (8, 2)
            assert torch.equal(batch[:, 0], batch[:, 1])


@pytest.mark.parametrize("start", [1, 4, 5, 6, 17, 99])
def test_a_stream_that_starts_later_is_the_tail_of_the_whole(source, start):
    assert take(source, start, 12) == take(source, 0, start + 12)[start:]


def test_the_order_depends_on_the_seed_alone(source):
    assert take(source, 0, 5, seed=1) == take(source, 0, 5, seed=1)
    assert take(source, 0, 5, seed=1) != take(source, 0, 5, seed=2)


@pytest.mark.parametrize("world", [1, 2])
def test_rows_are_the_numbers_of_the_items_of_a_batch(source, world):
    for step in (0, 3, 11):
        for rank in range(world):
            rows = source.rows(step, 8, 4, rank, world)
            assert rows.tolist() == take(source, step, 1, 8, 4, rank, world)[0]


def test_the_shares_of_two_processes_are_the_batch_of_one():
    source = MemorySource(numbered())
    whole = take(source, 2, 9)
    first, second = (take(source, 2, 9, rank=rank, world=2) for rank in range(2))
    assert [a + b for a, b in zip(first, second, strict=True)] == whole


def test_two_processes_read_disjoint_halves_of_a_stream():
    log = [], []
    seen = []
    for rank in range(2):
        source = streamed(2, log[rank])
        seen.append(set(flattened(take(source, 0, 30, rank=rank, world=2))))
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == set(range(N))
    assert abs(len(seen[0]) - len(seen[1])) <= 1
    assert not set(log[0]) & set(log[1])


def test_a_stream_reads_nothing_that_it_skips():
    log = []
    rows = flattened(streamed(1).rows(step, 9, 0).tolist() for step in range(3))
    assert len(set(rows)) == 27
    source = streamed(1, log)
    source.rows(100, 9, 0)
    assert log == []
    take(source, 4, 1, 9)  # items 36 to 44: the last of the first epoch
    owners = [i for i, block in enumerate(numbered().split(SIZES)) for _ in block]
    skipped = {owners[row] for row in rows[:10]}
    assert len(log) <= 4
    assert not skipped & set(log[:1])


def test_items_of_all_blocks_of_a_window_are_mixed():
    sizes = [100] * 8
    data = torch.arange(800).reshape(-1, 1)
    source = StreamSource([lambda b=b: b for b in data.split(sizes)], sizes, window=8)
    first = torch.tensor(flattened(take(source, 0, 1, 200)))
    assert len((first // 100).unique()) == 8
    assert first.double().mean() == pytest.approx(399.5, abs=60)


def test_a_sample_is_the_same_for_every_process(source):
    samples = [Feed(source, 8, 0, rank, 2).sample(20) for rank in range(2)]
    assert torch.equal(*samples)
    assert len(samples[0]) == 20
    assert len(Feed(source, 8, 0).sample(10**6)) == N


def test_a_reading_error_reaches_the_consumer_and_the_thread_ends():
    def broken():
        raise OSError("the disk is gone")

    source = StreamSource([lambda: torch.zeros(4, 1), broken], [4, 4], window=1)
    with pytest.raises(OSError, match="disk is gone"):
        take(source, 0, 20, 2)
    assert_no_reader_is_left()


def test_the_thread_ends_when_the_stream_is_closed_in_the_middle():
    stream = streamed(1).batches(0, 8, 0)
    next(stream)
    stream.close()
    assert_no_reader_is_left()


def assert_no_reader_is_left():
    end = time.monotonic() + 5
    while any(t.name.startswith("variate-read") for t in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_memory_is_that_of_two_windows(monkeypatch):
    windows = []
    load = StreamSource._load

    def watched(self, blocks, stop):
        window = load(self, blocks, stop)
        windows.append(weakref.ref(window))
        return window

    monkeypatch.setattr(StreamSource, "_load", watched)
    source = StreamSource([lambda: torch.zeros(10, 3)] * 40, [10] * 40, window=4)
    alive = []
    with closing(source.batches(0, 5, 0)) as stream:
        for _ in range(100):
            next(stream)
            time.sleep(0.001)  # lets the thread read ahead as far as it will
            alive.append(sum(window() is not None for window in windows))
    assert len(windows) > 10
    assert max(alive) <= 2


@pytest.mark.parametrize(
    ("blocks", "sizes", "error", "words"),
    [
        (2, [3], ValueError, "2 blocks came with 1 sizes"),
        (2, [0, 0], DataError, "every block is empty"),
        (0, [], DataError, "every block is empty"),
    ],
)
def test_what_cannot_be_streamed_is_refused(blocks, sizes, error, words):
    with pytest.raises(error, match=words):
        StreamSource([lambda: torch.zeros(3, 1)] * blocks, sizes)


def test_a_block_that_changed_is_named():
    source = StreamSource([lambda: torch.zeros(3, 1)], [4])
    with pytest.raises(DataError, match=r"block 0 .* has 3 items, but 4 were announced"):
        take(source, 0, 1)


def test_fewer_blocks_than_processes_is_an_error():
    source = StreamSource([lambda: torch.zeros(3, 1)], [3])
    with pytest.raises(DataError, match="1 blocks, too few for 2 processes"):
        take(source, 0, 1, 2, rank=1, world=2)
