"""The page of a study shows trainings of equal seconds and networks of several widths."""

from pathlib import Path
from typing import Any

import pytest
from test_study_page import PageReader, row, save, study

from lit_models.study.page import write_page
from lit_models.study.variant_charts import exponents, grown, variant_points


def test_the_exponent_is_the_slope_of_a_power_law() -> None:
    sizes = {0.25: 1e5, 1.0: 4e5, 4.0: 1.6e6}
    points = [
        {"system": "ae", "factor": factor, "parameters": size, "kid": 300 * (size / 1e5) ** -0.7 - 1} for factor, size in sizes.items()
    ]
    (found,) = exponents(points, {"ae": "AE", "vae": "VAE"}, ["first"])
    assert found["exponent"] == pytest.approx(-0.7)
    assert (found["title"], found["best"]) == ("AE", 4)


def variant(of: str, title: str, kid: float, seconds: float, factor: float | None = None, size: float = 1e5) -> dict[str, Any]:
    found = row(f"{of}_{seconds:g}_{factor}", title, 0.9, kid, labelled=True)
    found["values"] |= {
        name: {"mean": mean, "std": 0.0, "n": 1, "low": mean, "high": mean}
        for name, mean in {"kid": kid, "coverage": 0.8, "seconds": seconds, "teraflops": 2 * seconds, "sample_seconds": 0.5,
                           "parameters": size}.items()
    }  # fmt: skip
    return found | {"variant": {"of": of, "seconds": seconds, "factor": factor}, "best": ["kid"]}


def test_variants_have_sections_of_their_own(tmp_path: Path) -> None:
    own = study()["rows"]
    variants = [variant("vae", "VAE, 60 s", 40.0, 60), variant("vae", "VAE, 360 s", 20.0, 360)]
    widths = [variant("vae", f"VAE, {factor:g} x width", 40.0 / factor, 60, factor, factor * 1e5) for factor in (0.5, 1, 2)]
    pairs = [{"spaces": ["first", "second"], "tau": 0.8123, "rows": 12}]
    page = write_page(save(tmp_path, study() | {"pictures": [], "rows": [*own, *variants, *widths], "agreement": pairs}))
    text = page.read_text(encoding="utf-8")
    main = text[text.index("<h2>Measures") :]
    equal = text[text.index("<h2>Equal seconds") : text.index("<h2>Growth")]
    assert "VAE, 360 s" not in main
    assert equal.index("360 seconds of training") < equal.index("60 seconds of training,"), "the longest comes first"
    assert equal.count("<svg") == 2 * 3 + 1, "two measures in one space, three scales, and one line in the legend"
    growth = text[text.index("<h2>Growth") : text.index("<h2>Claims")]
    assert growth.count("<svg") == 2 + 1
    assert "first and second 0.81 (12 rows)." in " ".join(PageReader(page).text.split())
    plain = write_page(save(tmp_path, study() | {"pictures": []})).read_text(encoding="utf-8")
    assert "Equal seconds" not in plain
    assert "Growth" not in plain


def test_a_variant_stands_in_charts_by_the_sampler_that_takes_labels() -> None:
    """The sentences of the page compare those, so that a chart and a sentence never show two samplers of one system."""
    main = variant("ae", "AE, 60 s", 50.0, 60) | {"sampler": "gmm", "labelled": False, "measured": True}
    labelled = main | {"sampler": "class_gmm", "labelled": True, "main": False, "values": {"kid": main["values"]["kid"] | {"mean": 20.0}}}
    tuned = main | {"system": "ae_tuned", "variant": main["variant"] | {"tuned": True}}
    (point,) = variant_points([main, labelled, tuned], {"ae": "AE"})
    assert (point["system"], point["seconds"], point["kid"]) == ("ae", 60, 20.0)
    assert point["parameters"] == 1e5, "a model has it once, in its main row"
    assert [point["kid"] for point in variant_points([main], {"ae": "AE"})] == [50.0]


def test_the_shipped_width_is_that_of_equal_seconds() -> None:
    """It is not trained twice. Another length, other settings or sampler, and a system of one width have no part in it."""
    equal, longer, tuned = (variant("vae", "VAE", kid, seconds) for kid, seconds in ((40.0, 60), (20.0, 360), (10.0, 60)))
    tuned["variant"]["tuned"] = True
    other, wide = variant("gan", "GAN", 30.0, 60), variant("vae", "VAE, 2 x width", 25.0, 60, 2)
    labelled = equal | {"sampler": "class_gmm", "main": False}
    found = grown([labelled, equal, longer, tuned, other, wide])
    assert [(row["title"], row["variant"]["factor"], row["values"]["kid"]["mean"]) for row in found] == [
        ("VAE, 2 x width", 2, 25.0),
        ("VAE", 1, 40.0),
    ]
    assert equal["variant"]["factor"] is None, "its own row is as it was"
    assert grown([equal, longer]) == []
