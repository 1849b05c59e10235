"""Writes the results of a study from its measures: results.json, results.csv and the page."""

import csv
import datetime
import importlib.metadata
import json
import platform
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from lit_models.checkpoints.files import replacing
from lit_models.evaluation.measure import Yardstick
from lit_models.study.claims import Measures, decide, flat
from lit_models.study.measuring import measures_of, write_json
from lit_models.study.page import write_page
from lit_models.study.plan import Plan, System
from lit_models.study.training import folder_of

PACKAGES = ("lit-generative", "torch", "lightning", "torchvision", "torchmetrics", "scikit-learn")


class Column(NamedTuple):
    """A column of the table: `better` is "higher", "lower" or None if neither is better; `digits` is its number of decimals."""

    key: str
    title: str
    group: str
    unit: str
    better: str | None
    digits: int
    help: str


COLUMNS = [
    Column("recognisable", "recognisable", "samples", "", "higher", 3, "share of samples that the judge recognises as a digit"),
    Column("fid", "FID", "samples", "", "lower", 2, "Fréchet distance to test images in the judge's features, not Inception's"),
    Column("fid_inception", "FID (Inception)", "samples", "", "lower", 2, "FID in Inception's features; n/a unless features: inception"),
    Column("kid", "KID x 1000", "samples", "", "lower", 2, "kernel distance in the judge's features; its expectation is 0 for real images"),
    Column("density", "density", "samples", "", None, 3, "number of real neighbourhoods (k = 5) that contain a sample, divided by k"),
    Column("coverage", "coverage", "samples", "", "higher", 3, "share of real images with a sample in their neighbourhood, k = 5"),
    Column("precision", "precision", "samples", "", None, 3, "share of samples in the neighbourhood of a real image, k = 5"),
    Column("recall", "recall", "samples", "", "higher", 3, "share of real images in the neighbourhood of a sample, k = 5"),
    Column("fid_second", "FID (second)", "samples", "", "lower", 2, "FID in the judge's second features, in which nothing was tuned"),
    Column("coverage_second", "coverage (second)", "samples", "", "higher", 3, "coverage in the judge's second features"),
    Column("control", "control", "samples", "", "higher", 3, "share of samples whose digit is the one asked for"),
    Column("balance", "balance", "samples", "", "higher", 3, "1 minus the total variation distance between sampled and real classes"),
    Column("spread", "spread", "samples", "", None, 2, "variance of a pixel within a class, relative to real images"),
    Column("novelty", "novelty", "samples", "", None, 2, "distance to the nearest training image over that of test images; copies: < 1"),
    Column("sharpness", "sharpness", "samples", "", None, 2, "coherent gradients (Zhu & Milanfar 2010), relative to real images"),
    Column("mse", "MSE", "codes", "per pixel", "lower", 4, "squared error of reconstructions of test images"),
    Column("reconstruction_recognisable", "recognisable reconstructions", "codes", "", "higher", 3, "share recognised as a digit"),
    Column("nats", "nats", "codes", "per image", "lower", 1, "upper bound of -log p(x), binarised test images; VAE: importance-sampled"),
    Column("nats_error", "± nats", "codes", "per image", None, 2, "standard error of the nats over images"),
    Column("kl", "KL", "codes", "nats", None, 1, "KL divergence of q(z|x) from the standard normal, per image"),
    Column("active", "active", "codes", "", None, 0, "number of code elements whose posterior mean varies over images"),
    Column("probe", "linear probe", "codes", "", "higher", 3, "accuracy of a linear classifier on the codes of test images"),
    Column("knn", "15-NN", "codes", "", "higher", 3, "accuracy of 15 nearest neighbours on the codes of test images"),
    Column("silhouette", "silhouette", "codes", "", "higher", 2, "separation of the classes' codes, -1 to 1"),
    Column("sigma50_centroids", "sigma50 (centroids)", "noise", "spreads", None, 2, "noise at which half of the decodes keep the class"),
    Column("sigma50_codes", "sigma50 (codes)", "noise", "spreads", None, 2, "the same at the codes of test images"),
    Column("seconds", "training", "cost", "s", "lower", 0, "seconds in training batches, without validation, up to the model that is kept"),
    Column("sample_seconds", "1,000 samples", "cost", "s", "lower", 2, "seconds that 1,000 samples take"),
    Column("parameters", "parameters", "cost", "", None, 0, "number of parameters of the whole model"),
    Column("decoder_parameters", "decoder", "cost", "", None, 0, "number of parameters of the network that makes images from codes"),
]  # fmt: skip


def write_results(study: Path, plan: Plan, yardstick: Yardstick, about: dict[str, Any], controls: list[dict[str, Any]]) -> Path:
    """Write the results of all measures in the folder, also of those that other processes made. Returns the page."""
    found = {name: _measures_of_system(study, system, plan) for name, system in plan.systems.items()}
    measures = Measures([each for seeds in found.values() for each in seeds], yardstick.n)
    results: dict[str, Any] = {
        "study": about,
        "columns": [column._asdict() for column in COLUMNS if column.key != "fid_inception" or plan.features == "inception"],
        "controls": controls,
        "rows": [row for system in plan.systems.values() for row in _rows(study, system, found[system.name], plan)],
        "stages": [
            {"system": system.name, "title": system.title, "seed": each["seed"], **stage}
            for system in plan.systems.values()
            for each in found[system.name]
            for stage in each["stages"]
        ],
        "responses": [
            {"system": system.name, "title": system.title, "at": place, **curves}
            for system in plan.systems.values()
            for each in found[system.name][:1]
            for place, curves in each["responses"].items()
        ],
        "claims": [decide(claim, measures, plan) for claim in plan.claims],
        "pictures": [picture for system in plan.systems.values() for picture in _pictures(study, system)],
    }
    write_json(study / "results.json", results)
    _write_csv(study / "results.csv", results)
    return write_page(study)


def about(plan: Plan, machine: str, judge_sha256: str | None, recipe: str) -> dict[str, Any]:
    """Data set, date, budget, versions, machine and judge: numbers cannot be compared without them."""
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "title": plan.title,
        "date": datetime.date.today().isoformat(),
        "dataset": plan.dataset,
        "machine": machine,
        "versions": versions,
        "judge": {"sha256": judge_sha256, "recipe": recipe} if judge_sha256 else None,
        "features": plan.features,
        "budget_seconds": round(plan.budget_minutes * 60),
        "samples": plan.samples,
        "notes": plan.notes,
    }


def _measures_of_system(study: Path, system: System, plan: Plan) -> list[dict[str, Any]]:
    files = [measures_of(study, system, seed) for seed in plan.seeds_of(system)]
    return [json.loads(file.read_text()) for file in files if file.is_file()]


def _rows(study: Path, system: System, found: list[dict[str, Any]], plan: Plan) -> list[dict[str, Any]]:
    """The main row, which also has the measures of the model as a whole, and one row for each further sampler."""
    base = {"system": system.name, "title": system.title, "seeds": [each["seed"] for each in found], "note": system.note, "error": None}
    failed = [file.read_text() for seed in plan.seeds_of(system) if (file := folder_of(study, system, seed) / "error.txt").is_file()]
    if not found:
        return [base | {"sampler": "", "main": True, "values": {}, "error": failed[0] if failed else "not trained yet"}]
    if failed:
        base["note"] = f"{base['note']} A seed failed: {failed[0]}".strip()
    rows = []
    for number, sampler in enumerate(found[0]["samplers"] or {"": {}}):
        values = [flat(each) if number == 0 else each["samplers"].get(sampler, {}) for each in found]
        rows.append(base | {"sampler": sampler, "main": number == 0, "values": _over_seeds(values)})
    return rows


def _over_seeds(values: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """For each column the mean, the standard deviation, the worst value and the number of the seeds that have it."""
    found = {}
    for column in COLUMNS:
        have = [float(each[column.key]) for each in values if each.get(column.key) is not None]
        if have:
            worst = max(have) if column.better == "lower" else min(have)
            spread = statistics.stdev(have) if len(have) > 1 else 0.0
            found[column.key] = {"mean": statistics.fmean(have), "std": spread, "worst": worst, "n": len(have)}
    return found


def _pictures(study: Path, system: System) -> list[dict[str, str]]:
    found = []
    for file in sorted((study / "pictures").glob(f"{system.name}__*.png")):
        _, kind, sampler = file.stem.split("__")
        caption = f"{system.title}, {sampler.replace('_', ' ')}" if sampler else system.title
        found.append({"system": system.name, "title": system.title, "kind": kind, "caption": caption, "file": f"pictures/{file.name}"})
    return found


def _write_csv(file: Path, results: dict[str, Any]) -> None:
    """One line per row of the table and two columns per measure: the mean over seeds, and the standard deviation if there are several."""
    keys = [column["key"] for column in results["columns"]]
    with replacing(file) as part, part.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["system", "sampler", "seeds", "error", *(name for key in keys for name in (key, f"{key}_std"))])
        for control in results["controls"]:
            writer.writerow([control["name"], "", "", "", *(value for key in keys for value in (control["values"].get(key, ""), ""))])
        for row in results["rows"]:
            cells = [row["values"].get(key, {}) for key in keys]
            numbers = [value for cell in cells for value in (cell.get("mean", ""), cell["std"] if cell.get("n", 0) > 1 else "")]
            writer.writerow([row["system"], row["sampler"], " ".join(map(str, row["seeds"])), row["error"] or "", *numbers])
