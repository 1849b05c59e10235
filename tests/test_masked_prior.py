"""The masked prior: what it sees, and that its loss and its samples are those of all orders."""

from itertools import permutations

import pytest
import torch

from lit_models.contracts import CodeDistribution
from lit_models.nn.masked import MaskedPrior, known_after, random_masks


def small(n_codes: int = 7, length: int = 5, classes: int = 3) -> MaskedPrior:
    """A prior whose distributions are far from uniform, in evaluation mode."""
    torch.manual_seed(0)
    prior = MaskedPrior(n_codes, length, classes, width=16, layers=2, heads=2)
    with torch.no_grad():
        for weight in (prior.embed_code.weight, prior.embed_class.weight, prior.position):
            weight.normal_()
        prior.head.weight.mul_(4)
    return prior.eval()


def sequences(n_codes: int, length: int) -> torch.Tensor:
    return torch.cartesian_prod(*[torch.arange(n_codes)] * length)


@torch.no_grad()
def log_p_in_order(prior: MaskedPrior, codes: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """The log-probability of codes (N, P) that are drawn one by one in this order, with label 1, (N,)."""
    labels, given, total = torch.ones(len(codes), dtype=torch.long), torch.full_like(codes, prior.mask), torch.zeros(len(codes))
    for place in order:
        total += prior(given, labels)[:, place].log_softmax(dim=-1).gather(1, codes[:, [place]])[:, 0]
        given[:, place] = codes[:, place]
    return total


def log_p_in_all_orders(prior: MaskedPrior, codes: torch.Tensor) -> torch.Tensor:
    """One row per order, (P!, N)."""
    return torch.stack([log_p_in_order(prior, codes, order) for order in permutations(range(prior.length))])


def test_the_prior_is_a_distribution_over_codes() -> None:
    assert isinstance(small(), CodeDistribution)


def test_logits_depend_on_every_code_that_is_not_masked_and_on_no_other() -> None:
    prior, labels = small(), torch.tensor([1])
    codes, masked = torch.tensor([[0, 1, 2, 3, 4]]), torch.tensor([[False, True, False, True, False]])
    seen = []
    hook = prior.embed_code.register_forward_hook(lambda module, given, tokens: seen.append(tokens.requires_grad_()))
    logits = prior(codes.masked_fill(masked, prior.mask), labels)
    hook.remove()
    for place in (1, 3):
        gradient = torch.autograd.grad(logits[0, place].square().sum(), seen[0], retain_graph=True)[0][0]
        assert (gradient.abs().sum(dim=1) > 0).all(), "also of codes after the place, unlike a causal prior"
    others = codes.clone()
    others[masked] = torch.tensor([5, 6])
    nats = [prior(each.masked_fill(masked, prior.mask), labels) for each in (codes, others)]
    assert torch.equal(*nats)
    others[0, 0] = 6
    assert not torch.isclose(prior(others.masked_fill(masked, prior.mask), labels)[:, [1, 3]], logits[:, [1, 3]]).all(dim=-1).any()


def test_masks_have_every_number_and_every_set_alike() -> None:
    torch.manual_seed(0)
    masks = random_masks(torch.rand(70_000), torch.rand(70_000, 4))
    numbers = torch.bincount(masks.sum(dim=1), minlength=5) / len(masks)
    torch.testing.assert_close(numbers, torch.tensor([0.0, 0.25, 0.25, 0.25, 0.25]), atol=0.01, rtol=0)
    torch.testing.assert_close(masks.float().mean(dim=0), torch.full((4,), 0.625), atol=0.01, rtol=0)
    pairs = masks[masks.sum(dim=1) == 2].long() @ torch.tensor([8, 4, 2, 1])
    assert (torch.bincount(pairs)[[3, 5, 6, 9, 10, 12]] / len(pairs) - 1 / 6).abs().max() < 0.01


@torch.no_grad()
def test_the_loss_is_an_unbiased_estimate_of_the_any_order_bound() -> None:
    prior, codes = small(n_codes=3, length=3), torch.tensor([[2, 0, 1]])
    each = log_p_in_all_orders(prior, codes)
    bound = -each.mean()
    torch.manual_seed(0)
    drawn = prior.loss(codes.expand(40_000, 3), torch.ones(40_000, dtype=torch.long))
    error = drawn.std() / 200
    assert abs(drawn.mean() - bound) < 4 * error
    mixture = -(each.logsumexp(dim=0) - torch.tensor(6.0).log())
    assert bound > mixture, "it is a bound on the nats of the distribution that is sampled"
    one_mask = prior.masked_nats(codes, torch.tensor([1]), torch.ones(1, 3, dtype=torch.bool))
    assert abs(one_mask - bound) > 4 * error, "the control: all codes masked is another loss"


@torch.no_grad()
def test_log_density_estimates_the_bound_and_is_always_the_same() -> None:
    prior, codes = small(n_codes=3, length=3), sequences(3, 3)
    labels = torch.ones(27, dtype=torch.long)
    before = torch.get_rng_state()
    found = prior.log_density(codes, labels)
    assert torch.equal(prior.log_density(codes, labels), found)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(prior.log_density(codes[5:8], labels[5:8]), found[5:8])  # whatever the batch
    bound = log_p_in_all_orders(prior, codes).mean(dim=0)
    torch.testing.assert_close(prior.log_density(codes, labels, passes=3000), bound, rtol=0.03, atol=0.03)
    coarse, fine = ((prior.log_density(codes, labels, passes=passes) - bound).square().mean() for passes in (1, 100))
    assert fine < 0.2 * coarse
    assert abs((found - bound).mean()) < 0.5


@torch.no_grad()
def test_probabilities_of_all_sequences_sum_to_one_in_every_order() -> None:
    each = log_p_in_all_orders(small(n_codes=2, length=3), sequences(2, 3)).exp()
    torch.testing.assert_close(each.sum(dim=1), torch.ones(6))


@torch.no_grad()
@pytest.mark.parametrize("steps", [3, 10])
def test_one_step_per_code_draws_from_the_average_over_orders(steps: int) -> None:
    prior, n = small(n_codes=2, length=3), 40_000
    expected = log_p_in_all_orders(prior, sequences(2, 3)).exp().mean(dim=0)
    drawn = prior.draw(n, 1, torch.Generator().manual_seed(0), steps=steps)
    found = torch.bincount(drawn @ torch.tensor([4, 2, 1]), minlength=8) / n
    error = (expected * (1 - expected) / n).sqrt()
    assert ((found - expected).abs() < 4 * error).all()
    at_once = torch.bincount(prior.draw(n, 1, torch.Generator().manual_seed(0), steps=1) @ torch.tensor([4, 2, 1]), minlength=8) / n
    assert ((at_once - expected).abs() > 4 * error).any(), "the control: codes drawn at once are independent"


@pytest.mark.parametrize(("positions", "steps"), [(16, 1), (16, 4), (16, 15), (16, 16), (16, 99), (49, 16), (64, 8), (1, 5), (0, 4)])
def test_every_step_draws_at_least_one_code_and_the_last_one_ends(positions: int, steps: int) -> None:
    known = known_after(positions, steps)
    assert len(known) == min(steps, positions)
    assert all(after > before for before, after in zip([0, *known], known, strict=False))
    assert positions == 0 or known[-1] == positions
    assert steps < positions or known == list(range(1, positions + 1))


def test_less_than_one_step_is_refused() -> None:
    with pytest.raises(ValueError, match="steps expected at least 1, got 0"):
        small().draw(2, 1, steps=0)


@torch.no_grad()
def test_at_a_temperature_near_0_the_most_probable_code_is_drawn() -> None:
    prior = small(length=1)
    logits = prior(torch.full((1, 1), prior.mask), torch.tensor([1]))
    assert (prior.draw(50, 1, temperature=1e-6) == logits.argmax()).all()
    assert len(prior.draw(50, 1, temperature=1e6).unique()) > 3


@torch.no_grad()
def test_draws_come_from_the_given_generator_alone() -> None:
    prior, before = small(), torch.get_rng_state()
    first, second, other = (prior.draw(20, None, torch.Generator().manual_seed(seed), steps=3) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_fill_keeps_what_is_not_masked_and_draws_the_rest_given_it() -> None:
    prior, n = small(n_codes=2, length=3), 20_000
    codes, masked = torch.tensor([[1, 0, 1]]).expand(n, 3), torch.tensor([False, True, False])
    filled = prior.fill(codes, masked, torch.ones(n, dtype=torch.long), torch.Generator().manual_seed(0))
    assert torch.equal(filled[:, [0, 2]], codes[:, [0, 2]])
    expected = prior(torch.tensor([[1, prior.mask, 1]]), torch.tensor([1]))[0, 1].softmax(dim=0)[1]
    torch.testing.assert_close(filled[:, 1].float().mean(), expected, atol=0.015, rtol=0)
    nothing = torch.zeros(3, dtype=torch.bool)
    assert torch.equal(prior.fill(codes[:4], nothing, torch.ones(4, dtype=torch.long)), codes[:4])


@torch.no_grad()
def test_with_fewer_steps_than_codes_the_surest_codes_are_drawn_first(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, n, seen = small(n_codes=7, length=3), 2000, []
    logits = torch.zeros(n, 3, 7)
    logits[:, 2, 4] = 20  # the network is sure of the last code alone
    monkeypatch.setattr(prior, "forward", lambda codes, labels: seen.append(codes) or logits)
    share = {}
    for steps in (2, 3):
        seen.clear()
        drawn = prior.draw(n, 1, torch.Generator().manual_seed(0), steps=steps)
        assert (drawn[:, 2] == 4).all()
        assert ((seen[1] != prior.mask).sum(dim=1) == 1).all()
        share[steps] = float((seen[1][:, 2] == 4).float().mean())
    assert share[2] > 0.7
    assert abs(share[3] - 1 / 3) < 0.05, "one code per step: a random order"


def test_sampling_switches_dropout_off_and_restores_the_training_mode() -> None:
    torch.manual_seed(0)
    prior = MaskedPrior(n_codes=7, length=5, classes=3, width=16, layers=1, heads=2, dropout=0.5)
    drawn = [prior.train(mode).draw(30, 1, torch.Generator().manual_seed(0)) for mode in (True, False)]
    assert torch.equal(*drawn)
    prior.train().draw(3, 1)
    assert all(module.training for module in prior.modules())
