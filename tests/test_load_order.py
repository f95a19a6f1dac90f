"""Which samples come when: each once per epoch, whoever shares the work and wherever it resumes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clipmill.dataset.load.buckets import NO_BUCKET, Bucket, BucketOrder
from clipmill.dataset.load.order import Order, choices
from clipmill.dataset.load.ranks import share_of_rank

counts = st.lists(st.integers(0, 700), min_size=1, max_size=8).filter(any)
orders = st.builds(
    Order,
    counts,
    batch_size=st.integers(1, 50),
    mixed=st.sampled_from([0, 1, 300, 16_384]),
    seed=st.integers(0, 3),
    drop_last=st.booleans(),
)


def given_to(order, epoch, rank, ranks, first=0, uneven="keep"):
    """The batches of one rank, after the first ones of all ranks together."""
    total = order.batch_count
    numbers = share_of_rank(total, rank, ranks, uneven, first)
    return [order.batch(epoch, number % total) for number in numbers]


def all_of(*batches):
    return np.concatenate([*batches, []]).astype(int).tolist()


@given(orders, st.integers(1, 5), st.integers(0, 2))
def test_every_sample_comes_once_per_epoch_over_all_ranks(order, ranks, epoch):
    shares = [given_to(order, epoch, rank, ranks) for rank in range(ranks)]
    seen = all_of(*(batch for share in shares for batch in share))
    assert len(seen) == len(set(seen))
    sizes = {len(batch) for share in shares for batch in share}
    if order.batch_count * order._batch_size <= order.samples:  # none is partly filled
        assert sizes <= {order._batch_size}
        assert order.samples - len(seen) < order._batch_size
    else:
        assert sorted(seen) == list(range(order.samples))


@given(orders, st.integers(1, 7), st.sampled_from(["repeat", "drop"]))
def test_ranks_get_equally_many_batches_where_they_are_to(order, ranks, uneven):
    shares = [given_to(order, 0, rank, ranks, uneven=uneven) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    rounds = [list(batch) for one in zip(*shares, strict=True) for batch in one]
    once = [list(order.batch(0, number)) for number in range(order.batch_count)]
    if uneven == "drop":
        assert rounds == once[: len(rounds)]
        assert len(once) - len(rounds) < ranks
    else:
        more = len(rounds) - len(once)
        assert 0 <= more < ranks
        assert rounds == once + [once[number % len(once)] for number in range(more)]


@given(orders, st.integers(1, 4), st.integers(1, 4), st.data())
def test_what_is_left_after_resuming_is_what_was_not_given(order, ranks, later_ranks, data):
    given_before = data.draw(st.integers(0, order.batch_count // ranks))
    first = given_before * ranks
    before = [
        batch for rank in range(ranks) for batch in given_to(order, 1, rank, ranks)[:given_before]
    ]
    after = [
        batch
        for rank in range(later_ranks)
        for batch in given_to(order, 1, rank, later_ranks, first)
    ]
    seen = all_of(*before, *after)
    assert sorted(seen) == sorted(
        all_of(*(order.batch(1, number) for number in range(order.batch_count)))
    )


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
def weighted_orders(draw):
    """An order with weights, of which some are nothing, and its share of draws for each sample."""
    held = draw(counts)
    random = np.random.default_rng(draw(st.integers(0, 99)))
    weights = random.choice([0, 0.1, 1, 7], sum(held)) * random.random(sum(held))
    weights[random.integers(len(weights))] = 0.5
    how = {"mixed": draw(st.sampled_from([0, 300])), "seed": draw(st.integers(0, 3))}
    order = Order(held, batch_size=draw(st.integers(1, 50)), weights=weights, **how)
    return order, weights / weights.sum() * len(weights)


def drawn(order, epoch):
    batches = [order.batch(epoch, number) for number in range(order.batch_count)]
    return [order.drawn(epoch, number) for number in all_of(*batches)]


@given(weighted_orders(), st.integers(0, 2))
def test_each_sample_is_drawn_as_often_as_its_share_of_the_weights(weighted, epoch):
    order, shares = weighted
    found = drawn(order, epoch)
    assert len(found) == order.samples
    times = np.bincount(found, minlength=order.samples)
    # Shares are added up in steps of 2**-30.
    assert (times >= np.floor(shares - 1e-5)).all()
    assert (times <= np.ceil(shares + 1e-5)).all()
    assert not times[shares == 0].any()


@given(weighted_orders(), st.integers(1, 4), st.integers(1, 4), st.data())
def test_weighted_draws_are_shared_and_resumed_without_loss(weighted, ranks, later_ranks, data):
    order, _ = weighted
    rounds = data.draw(st.integers(0, order.batch_count // ranks))
    before = [b for rank in range(ranks) for b in given_to(order, 1, rank, ranks)[:rounds]]
    later = [given_to(order, 1, rank, later_ranks, rounds * ranks) for rank in range(later_ranks)]
    seen = all_of(*before, *(batch for share in later for batch in share))
    assert sorted(seen) == list(range(order.samples))


@given(counts, st.sampled_from([0, 300]), st.floats(0.001, 1e6))
def test_equal_weights_change_nothing(counts, mixed, weight):
    weights = np.full(sum(counts), weight)
    weighted = Order(counts, batch_size=7, mixed=mixed, weights=weights)
    plain = Order(counts, batch_size=7, mixed=mixed)
    assert drawn(weighted, 0) == drawn(plain, 0)


def test_over_epochs_rare_samples_come_as_often_as_they_are_to():
    weights = np.where(np.arange(1000) % 2, 1.0, 0.1)
    order = Order([1000], batch_size=10, mixed=1000, weights=weights)
    times = sum(np.bincount(drawn(order, epoch), minlength=1000) for epoch in range(100))
    shares = 100 * weights / weights.sum() * 1000
    assert abs(times[::2].sum() / shares[::2].sum() - 1) < 0.03
    assert np.abs(times - shares).max() < 5 * 100**0.5 / 2


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
    seen = all_of(*batches)
    assert len(seen) == len(set(seen))
    sizes = [int(order._sizes[order.places[batch[0]]]) for batch in batches]
    if order._drops:
        assert [len(batch) for batch in batches] == sizes
    else:
        assert sorted(seen) == np.flatnonzero(order.places != NO_BUCKET).tolist()
        assert all(len(batch) <= size for batch, size in zip(batches, sizes, strict=True))
