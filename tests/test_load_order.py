"""Which samples come when: each once per epoch, whoever shares the work and wherever it resumes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clipmill.dataset.load.buckets import NO_BUCKET, Bucket, BucketOrder
from clipmill.dataset.load.order import Order, choices

counts = st.lists(st.integers(0, 700), min_size=1, max_size=8).filter(any)
orders = st.builds(
    Order,
    counts,
    batch_size=st.integers(1, 50),
    mixed=st.sampled_from([0, 1, 300, 16_384]),
    seed=st.integers(0, 3),
    drop_last=st.booleans(),
)


def given_to(order, epoch, rank, ranks, first=0):
    """The batches of one rank, after the first ones of all ranks together."""
    return [
        order.batch(epoch, first + rank + ranks * number)
        for number in range(order.batches(rank, ranks, first))
    ]


@given(orders, st.integers(1, 5), st.integers(0, 2))
def test_every_sample_comes_once_per_epoch_over_all_ranks(order, ranks, epoch):
    shares = [given_to(order, epoch, rank, ranks) for rank in range(ranks)]
    seen = np.concatenate([batch for share in shares for batch in share] or [[]]).tolist()
    assert len(seen) == len(set(seen))
    if order._drop_last:
        assert len({len(share) for share in shares}) == 1
        assert all(len(batch) == order._batch_size for share in shares for batch in share)
        assert order.samples - len(seen) < order._batch_size * ranks
    else:
        assert sorted(seen) == list(range(order.samples))


@given(orders, st.integers(1, 4), st.integers(1, 4), st.data())
def test_what_is_left_after_resuming_is_what_was_not_given(order, ranks, later_ranks, data):
    given_before = data.draw(st.integers(0, order.batches(ranks - 1, ranks)))
    first = given_before * ranks
    before = [
        batch for rank in range(ranks) for batch in given_to(order, 1, rank, ranks)[:given_before]
    ]
    after = [
        batch
        for rank in range(later_ranks)
        for batch in given_to(order, 1, rank, later_ranks, first)
    ]
    seen = np.concatenate([*before, *after] or [[]]).tolist()
    assert len(seen) == len(set(seen))
    if not order._drop_last:
        assert sorted(seen) == list(range(order.samples))


def test_epochs_and_seeds_have_orders_of_their_own_which_do_not_change():
    order, other = (Order([500, 500], batch_size=1000, mixed=1000, seed=seed) for seed in (1, 2))
    again = Order([500, 500], batch_size=1000, mixed=1000, seed=1)
    assert order.batch(0, 0).tolist() == again.batch(0, 0).tolist()
    assert order.batch(0, 0).tolist() != order.batch(1, 0).tolist()
    assert order.batch(0, 0).tolist() != other.batch(0, 0).tolist()


def test_samples_are_mixed_over_all_shards_when_the_window_holds_them():
    order = Order([100] * 50, batch_size=1000, mixed=5000)
    mixed = np.concatenate([order.batch(0, number) for number in range(5)])
    shards = mixed[:100] // 100
    assert len(set(shards.tolist())) > 35  # of 50; without mixing it would be one
    assert abs(np.corrcoef(np.arange(5000), mixed)[0, 1]) < 0.05


def test_a_window_needs_no_more_shards_than_its_samples_lie_in():
    order = Order([1000] * 100, batch_size=64, mixed=2000)
    shards = [{order.shard_of(int(one))[0] for one in order.batch(0, n)} for n in range(20)]
    assert len(set().union(*shards)) <= 9


def test_choices_by_chance_depend_on_the_sample_and_the_epoch_alone():
    first = choices(3, 0, 17).random(4).tolist()
    assert first == choices(3, 0, 17).random(4).tolist()
    others = [choices(3, 1, 17), choices(3, 0, 18), choices(4, 0, 17)]
    assert all(first != other.random(4).tolist() for other in others)


@st.composite
def bucket_orders(draw):
    counts = draw(st.lists(st.integers(0, 300), min_size=1, max_size=4).filter(any))
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    places = random.integers(NO_BUCKET, len(sizes), sum(counts)).astype(np.int16)
    buckets = [Bucket(32, 32, None, size) for size in sizes]
    how = {"mixed": draw(st.sampled_from([0, 100, 5000])), "drop_last": draw(st.booleans())}
    return BucketOrder(counts, places, buckets, **how)


@given(bucket_orders(), st.integers(1, 3))
def test_batches_are_of_one_bucket_each_and_every_sample_with_one_comes_once(order, ranks):
    shares = [given_to(order, 0, rank, ranks) for rank in range(ranks)]
    batches = [batch for share in shares for batch in share]
    assert all(len(set(order.places[batch])) == 1 for batch in batches)
    seen = np.concatenate(batches or [[]]).astype(int).tolist()
    assert len(seen) == len(set(seen))
    sizes = [int(order._sizes[order.places[batch[0]]]) for batch in batches]
    if order._drops:
        assert [len(batch) for batch in batches] == sizes
        assert len({len(share) for share in shares}) == 1
    else:
        assert sorted(seen) == np.flatnonzero(order.places != NO_BUCKET).tolist()
        assert all(len(batch) <= size for batch, size in zip(batches, sizes, strict=True))
