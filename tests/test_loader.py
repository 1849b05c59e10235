"""The loaders: every image once per epoch, shared among processes, with a state that can be resumed."""

import itertools

import pytest
import torch

from datamodules import ImageDataModule
from datamodules.loader import EvalLoader, TrainLoader
from datamodules.sources import Split


def numbered(n: int) -> Split:
    """`n` images whose first two pixels encode their index."""
    images = torch.zeros(n, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = torch.arange(n) // 256, torch.arange(n) % 256
    return Split(images, (torch.arange(n) % 10).to(torch.uint8))


def numbers(batches: list) -> list[int]:
    return [round(float(image[0, 0, 0]) * 255) * 256 + round(float(image[0, 0, 1]) * 255) for images, _ in batches for image in images]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_training_image_comes_once_per_epoch_on_one_of_the_ranks(world: int) -> None:
    data = numbered(301)
    ranks = [numbers(list(TrainLoader(data, 60, 0, rank=rank, world=world))) for rank in range(world)]
    seen = [number for rank in ranks for number in rank]
    assert len(seen) == len(set(seen)) == 301 // world * world
    assert len({len(rank) for rank in ranks}) == 1


@pytest.mark.parametrize("n", [2, 3, 251, 1000, 1001])
@pytest.mark.parametrize("world", [1, 2])
def test_every_evaluation_image_counts_once_and_no_rank_waits_for_another(n: int, world: int) -> None:
    loaders = [EvalLoader(numbered(n), 250, rank, world) for rank in range(world)]
    batches = [list(loader) for loader in loaders]
    assert sorted(number for rank in batches for number in numbers(rank)) == list(range(n))
    assert {len(rank) for rank in batches} == {len(loaders[0])}
    assert all(len(images) > 0 for rank in batches for images, _ in rank)


def test_global_batches_do_not_depend_on_the_number_of_processes() -> None:
    data = numbered(240)
    alone = list(TrainLoader(data, 60, 0, "dynamic"))
    pair = [list(TrainLoader(data, 60, 0, "dynamic", rank=rank, world=2)) for rank in (0, 1)]
    for batch, first, second in zip(alone, *pair, strict=True):
        together = torch.stack([first[0], second[0]], dim=1).flatten(0, 1)
        assert torch.equal(batch[0], together)


def test_order_changes_with_epoch_and_seed_only() -> None:
    data = numbered(100)

    def order(seed: int, epoch: int) -> list[int]:
        loader = TrainLoader(data, 10, seed)
        loader.set_epoch(epoch)
        return numbers(list(loader))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@pytest.mark.parametrize("position", [0, 1, 3, 4, 5, 9])
def test_a_loader_resumes_where_its_state_was_saved(position: int) -> None:
    whole = TrainLoader(numbered(230), 50, 0, "dynamic")  # five batches per epoch
    stream = itertools.chain(iter(whole), iter(whole))
    for _ in range(position):
        next(stream)
    state = whole.state_dict()
    rest = [next(stream) for _ in range(10 - position)]
    resumed = TrainLoader(numbered(230), 50, 0, "dynamic")
    resumed.load_state_dict(state)
    again = [batch for _ in range(3) for batch in resumed][: 10 - position]
    assert len(again) == len(rest)
    assert all(torch.equal(a, b) for one, other in zip(rest, again, strict=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("key", "other"), [("n", 231), ("batch_size", 25), ("seed", 1)])
def test_a_state_of_other_data_batch_size_or_seed_is_refused(key: str, other: int) -> None:
    state = TrainLoader(numbered(230), 50, 0).state_dict() | {key: other}
    with pytest.raises(ValueError, match=f"{key}={other}"):
        TrainLoader(numbered(230), 50, 0).load_state_dict(state)


def test_a_small_data_set_is_repeated_to_fill_an_epoch() -> None:
    loader = TrainLoader(numbered(30), 20, 0, passes=3)
    seen = numbers(list(loader))
    assert len(loader) == 5
    assert sorted(seen) == sorted([*range(30)] * 3)
    assert len({tuple(seen[start : start + 30]) for start in (0, 30, 60)}) == 3, "each pass should have another order"
    data = ImageDataModule("digits", limit=100, epoch_images=250)
    data.setup()
    assert sum(len(images) for images, _ in data.train_dataloader()) == 300
    assert sum(len(images) for images, _ in data.val_dataloader()) == 100
