"""Claims are decided by the rules that are stated: over intervals, in every space of features, and never by a row that covers little."""

import math
from typing import Any

import numpy as np
import pytest

from lit_models.study.claims import decide
from lit_models.study.expressions import Measures, Unknown
from lit_models.study.intervals import estimate
from lit_models.study.plan import Claim, Measure, Plan, System

SPACES = ("first", "second", "untrained")
PLAN = Plan({"ae": System("ae", "AE", ["ae"])}, [])


def measured(system: str = "ae", seed: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "system": system, "seed": seed, "trained": {"images": 1000, "seconds": 10.0}, "parameters": 5, "decoder_parameters": 3,
        "codes": {"mse": 0.01}, "samplers": {"normal": {"recognisable": 0.5, "fid": 3.0}, "gmm 0.5": {"recognisable": 0.8, "fid": 1.0}},
        "responses": {"centroids": {"sigmas": [0.0, 0.5], "kept": [1.0, 0.4], "sigma50": 0.4}},
        "stages": [
            {"images": 130, "seconds": 1.0, "values": {"recognisable": 0.1}},
            {"images": 270, "seconds": 2.0, "values": {"recognisable": 0.2}},
        ],
        "last_scalars": {"val/loss": 7.0},
    } | values  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("ae.mse", 0.01),
        ("ae.recognisable", 0.5),
        ("ae:gmm 0.5.recognisable", 0.8),
        ("ae.centroids.kept@0.5", 0.4),
        ("ae.sigma50_centroids", 0.4),
        ("ae.stages.seconds@200", 2.0),
        ("ae.stages.recognisable@130", 0.1),
        ("ae.val/loss", 7.0),
        ("ae.seconds", 10.0),
        ("ae:gmm 0.5.recognisable - ae.recognisable", 0.3),
        ("ae:normal.fid / ae:gmm 0.5.fid", 3.0),
        ("least(ae:*.fid, vae:*.fid)", 1.0),
        ("least(ae:*.fid, vae:*.fid, !ae:gmm 0.5.fid)", 2.0),
        ("most(*:normal.recognisable) - most(*:*.recognisable)", -0.2),
    ],
)
def test_an_expression_finds_its_value(expression: str, value: float) -> None:
    measures = Measures([measured(), measured("vae", samplers={"normal": {"recognisable": 0.6, "fid": 2.0}})], 10_000)
    assert measures.evaluate(expression).value == pytest.approx(value)


def test_most_of_a_pattern_looks_at_every_system() -> None:
    measures = Measures([measured(), measured("vae", samplers={"normal": {"recognisable": 0.6}})], 10_000)
    assert measures.evaluate("most(*:normal.recognisable)").value == 0.6


@pytest.mark.parametrize(
    "expression",
    [
        "vae.mse",
        "ae.nats",
        "ae:kde.recognisable",
        "ae.codes.kept@0.5",
        "ae.centroids.kept@9",
        "ae.stages.recognisable@9000",
        "least(b:*.fid)",
    ],
)
def test_an_expression_without_a_value_says_what_is_missing(expression: str) -> None:
    with pytest.raises(Unknown, match=r".+"):
        Measures([measured()], 10_000).evaluate(expression)


def test_an_interval_has_the_error_of_a_share_and_the_spread_of_seeds() -> None:
    one = Measures([measured(samplers={"normal": {"recognisable": 0.5}})], 2500).evaluate("ae.recognisable")
    assert one == pytest.approx((0.5, 0.5 - 1.96 * 0.5 / 50, 0.5 + 1.96 * 0.5 / 50), abs=0.002), "one seed: that of its samples alone"
    seeds = [measured(seed=seed, samplers={"normal": {"recognisable": share}}) for seed, share in enumerate((0.4, 0.5, 0.6))]
    found = Measures(seeds, 1_000_000).evaluate("ae.recognisable")
    assert found.value == pytest.approx(0.5)
    assert 0.09 < found.high - found.value < 0.13, "1.96 standard errors of the mean of three seeds are 0.113"
    assert Measures(seeds, 100).evaluate("ae.recognisable").high > found.high, "fewer samples, a wider interval"
    assert Measures(seeds, 2500).evaluate("ae.mse") == (0.01, 0.01, 0.01), "no error is known, and the seeds agree"


def test_an_interval_has_the_coverage_that_is_stated() -> None:
    """Of 400 studies of eight seeds each, about 95 in 100 have the true value in their interval; few seeds make it narrower than stated."""
    generator = np.random.default_rng(0)
    shares = {}
    for n in (3, 8):
        found = [estimate(generator.normal(5.0, 1.0, n), [0.0] * n, f"study {number}", "a").interval() for number in range(400)]
        shares[n] = sum(low <= 5.0 <= high for _, low, high in found) / 400
    assert 0.89 < shares[8] < 0.98
    assert 0.75 < shares[3] < shares[8]


def test_a_system_does_not_differ_from_itself_and_its_samplers_share_their_seeds() -> None:
    kids = [(1.0, 2.0), (5.0, 6.0), (9.0, 10.0)]
    found = Measures([measured(seed=seed, samplers={"a": {"kid": a}, "b": {"kid": b}}) for seed, (a, b) in enumerate(kids)], 100)
    assert found.evaluate("ae:a.kid - ae:a.kid") == (0, 0, 0)
    assert found.evaluate("ae:b.kid - ae:a.kid") == pytest.approx((1, 1, 1)), "pair by pair, although seeds differ much"


def test_patterns_leave_out_variants_which_names_find() -> None:
    longer = measured("ae_360s", samplers={"normal": {"recognisable": 0.9}})
    found = Measures([measured(), longer], 100, variants={"ae_360s"})
    assert found.evaluate("most(*:*.recognisable)").value == 0.8
    assert found.evaluate("ae_360s.recognisable").value == 0.9


def claim(*thresholds: float) -> Claim:
    return Claim(1, "a claim", [Measure("digits", "ae.recognisable", ">=", to) for to in thresholds])


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [((0.3,), "holds"), ((0.7,), "does not hold"), ((0.5,), "depends"), ((0.3, 0.7), "depends"), ((0.3, 0.2), "holds")],
)
def test_a_claim_holds_if_all_its_measures_do_over_their_intervals(thresholds: tuple[float, ...], verdict: str) -> None:
    plan = Plan({"ae": System("ae", "AE", ["ae"])}, [])
    found = decide(claim(*thresholds), Measures([measured()], 10_000), plan)
    assert found["verdict"] == verdict
    assert (verdict != "depends") or "digits" in found["why"]


def test_a_claim_without_a_value_or_on_a_trial_set_is_not_decided() -> None:
    systems = {"ae": System("ae", "AE", ["ae"])}
    assert decide(claim(0.3), Measures([], 10_000), Plan(systems, []))["verdict"] == "not decided"
    trial = decide(claim(0.3), Measures([measured()], 10_000), Plan(systems, [], dataset="digits", decided=False))
    assert (trial["verdict"], trial["why"]) == ("not decided", "not decided on digits")


def rows(**samplers: dict[str, float]) -> dict[str, Any]:
    return measured(samplers={name.replace("_", ", "): values for name, values in samplers.items()})


def test_the_best_row_covers_half_of_the_real_images() -> None:
    """One clean digit a thousand times is near to real images and recognisable, and is the best in nothing."""
    few = {"kid": 1.0, "coverage": 0.3, "cas": 0.99}
    many = {"kid": 4.0, "coverage": 0.6, "cas": 0.9}
    measures = Measures([rows(few=few, many=many, all={"kid": 6.0, "coverage": 0.9, "cas": 0.95})], 10_000)
    found = {name: measures.evaluate(f"{name}(ae:*.kid)").value for name in ("least", "best")}
    assert found == {"least": 1.0, "best": 4.0}
    assert measures.evaluate("best(ae:*.cas)").value == 0.95, "the greatest, where greater is better"
    with pytest.raises(Unknown, match=r"has a coverage of at least 0\.5"):
        Measures([rows(few=few)], 10_000).evaluate("best(ae:*.kid)")


def test_the_name_of_a_sampler_may_contain_a_comma() -> None:
    measures = Measures([rows(normal={"kid": 3.0}, normal_temperature={"kid": 2.0})], 100)
    assert measures.evaluate("ae:normal, temperature.kid").value == 2.0
    assert measures.evaluate("least(ae:normal, temperature.kid, ae:normal.kid)").value == 2.0


def in_spaces(first: float, second: float, untrained: float, error: float = 0.0) -> Measures:
    values = {"kid": first, "kid_second": second, "kid_untrained": untrained}
    errors = {name.replace("kid", "kid_error"): error for name in values}
    return Measures([measured(samplers={"normal": values | errors})], 10_000, SPACES)


@pytest.mark.parametrize(
    ("values", "holds", "verdict"),
    [
        ((1, 2, 3), True, "holds"),
        ((11, 12, 13), False, "does not hold"),
        ((1, 12, 3), None, "depends"),
        ((11, 12, 3), None, "depends"),
    ],
)
def test_a_distance_holds_where_all_spaces_agree(values: tuple[float, ...], holds: bool | None, verdict: str) -> None:
    found = decide(Claim(1, "near", [Measure("distance", "ae.kid", "<=", 10)]), in_spaces(*values), PLAN)
    line = found["measures"][0]
    assert (line["holds"], found["verdict"], line["value"]) == (holds, verdict, values[0])
    assert {space: each["value"] for space, each in line["spaces"].items()} == dict(zip(SPACES, values, strict=True))
    assert ("the spaces disagree: first: " in found["why"]) == (holds is None)


def test_a_distance_that_one_space_lacks_is_not_decided() -> None:
    measures = Measures([measured(samplers={"normal": {"kid": 1.0, "kid_second": 1.0}})], 100, SPACES)
    found = decide(Claim(1, "near", [Measure("distance", "ae.kid", "<=", 10)]), measures, PLAN)
    assert (found["verdict"], found["why"]) == ("not decided", "ae.kid_untrained has no value")


def test_a_share_is_the_same_in_all_spaces_and_a_named_space_is_that_one() -> None:
    measures = in_spaces(1, 2, 3)
    assert measures.in_spaces("ae.kid_second - ae.mse").keys() == {""}
    assert measures.in_spaces("ae.kid - ae.mse").keys() == set(SPACES)
    found = decide(Claim(1, "small", [Measure("error", "ae.mse", "<=", 1)]), measures, PLAN)
    assert found["measures"][0]["spaces"] == {}


def test_the_interval_of_a_kernel_distance_has_its_standard_error() -> None:
    assert in_spaces(5, 5, 5, error=2).evaluate("ae.kid_second") == pytest.approx((5, 5 - 3.92, 5 + 3.92), abs=0.2)
    two = [measured(seed=seed, samplers={"normal": {"kid": 5.0, "kid_error": 2.0}}) for seed in (0, 1)]
    assert Measures(two, 100).evaluate("ae.kid").high == pytest.approx(5 + 3.92 / math.sqrt(2), abs=0.2), "two seeds have twice the samples"


@pytest.mark.parametrize(
    ("to", "verdicts"),
    [
        (0.55, ("does not hold", "holds", "does not hold")),
        (0.3, ("holds", "holds", "holds")),
        (0.45, ("holds", "holds", "does not hold")),
        (0.0, ("holds", "holds", "holds")),
    ],
)
def test_verdicts_over_thresholds_a_fifth_lower_and_higher(to: float, verdicts: tuple[str, ...]) -> None:
    found = decide(claim(to), Measures([measured()], 10_000), PLAN)
    assert (found["verdict"], found["verdict_lower"], found["verdict_higher"]) == verdicts
    assert found["measures"][0]["threshold"] == to
