"""The autoregressive prior: it is causal, the same with and without its cache, and a distribution that sums to one."""

import torch

from lit_models.nn.transformer import CodePrior


def small() -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(n_codes=7, length=5, classes=3, width=16, layers=2, heads=2).eval()


def test_the_logits_of_a_code_depend_only_on_the_codes_before_it() -> None:
    prior, codes, labels = small(), torch.randint(7, (4, 5)), torch.randint(3, (4,))
    logits = prior(codes, labels)
    for position in range(5):
        changed = codes.clone()
        changed[:, position] = (changed[:, position] + 1) % 7
        same = torch.isclose(prior(changed, labels), logits, atol=1e-6).all(dim=-1).all(dim=0)
        assert same[: position + 1].all()
        assert position == 4 or not same[position + 1 :].any()


def test_the_label_changes_the_logits_of_every_code() -> None:
    prior, codes = small(), torch.randint(7, (4, 5))
    first, second = (prior(codes, torch.full((4,), label)) for label in (0, 1))
    assert not torch.isclose(first, second).all(dim=-1).any()


def test_sampling_with_the_cache_gives_the_same_codes_as_without() -> None:
    prior, labels = small(), torch.randint(3, (64,), generator=torch.Generator().manual_seed(1))
    codes = prior.draw(64, labels, torch.Generator().manual_seed(0))
    generator, expected = torch.Generator().manual_seed(0), torch.zeros(64, 5, dtype=torch.long)
    for position in range(5):  # the same draws without a cache
        probabilities = prior(expected, labels)[:, position].softmax(dim=-1)
        expected[:, position] = torch.multinomial(probabilities.detach(), 1, generator=generator)[:, 0]
    assert torch.equal(codes, expected)


def test_probabilities_of_all_sequences_sum_to_one() -> None:
    torch.manual_seed(0)
    prior = CodePrior(n_codes=3, length=3, classes=2, width=8, layers=1, heads=1)
    every = torch.cartesian_prod(*[torch.arange(3)] * 3)
    log_p = prior(every, torch.zeros(27, dtype=torch.long)).log_softmax(dim=-1).gather(2, every[..., None]).sum(dim=(1, 2))
    torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0))


def test_sampling_switches_dropout_off_and_restores_the_training_mode() -> None:
    torch.manual_seed(0)
    prior, labels = CodePrior(n_codes=7, length=5, classes=3, width=16, layers=2, heads=2, dropout=0.5), torch.arange(30) % 3
    drawn = [prior.train(mode).draw(30, labels, torch.Generator().manual_seed(0)) for mode in (True, False)]
    assert torch.equal(*drawn)
    assert prior.train().draw(30, labels).shape == (30, 5)
    assert all(module.training for module in prior.modules())
    codes = torch.zeros(3, 5, dtype=torch.long)
    assert not torch.equal(prior(codes, labels[:3]), prior(codes, labels[:3])), "the control: dropout acts in training"
