"""Solvers of ordinary differential equations."""

import math

import pytest
import torch

from lit_models.sampling.ode import integrate

START = torch.tensor([1.0, -0.5], dtype=torch.float64)


def turning(state: torch.Tensor, time: float) -> torch.Tensor:
    """dx/dt = x cos(t), whose solution is x(0) exp(sin(t))."""
    return state * math.cos(time)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_halving_the_steps_divides_the_error_by_two_to_the_order(solver: str, order: int) -> None:
    exact = START * math.exp(math.sin(1))
    coarse, fine = ((integrate(turning, START, steps, solver) - exact).abs().max() for steps in (64, 128))
    assert float(coarse / fine) == pytest.approx(2**order, rel=0.05)


@pytest.mark.parametrize("solver", ["midpoint", "heun"])
def test_the_way_back_leads_to_the_start(solver: str) -> None:
    there = integrate(turning, START, 200, solver)
    torch.testing.assert_close(integrate(turning, there, 200, solver, begin=1.0, end=0.0), START, atol=1e-5, rtol=0)


def test_a_constant_velocity_is_solved_in_one_step() -> None:
    for solver in ("euler", "midpoint", "heun"):
        torch.testing.assert_close(integrate(lambda x, t: torch.full_like(x, 3.0), START, 1, solver), START + 3)


def test_an_unknown_solver_and_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="euler, midpoint, heun, got 'rk4'"):
        integrate(turning, START, 1, "rk4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        integrate(turning, START, 0)
