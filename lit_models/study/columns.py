"""The columns of the table of a study."""

from collections.abc import Iterable
from typing import NamedTuple

from lit_models.evaluation.sample_quality import FIRST, key

SPACES = {FIRST: "", "second": " (second)", "untrained": " (untrained)"}  # what a title adds for the space
SPACE_HELP = {
    FIRST: "in the features of a convolutional classifier of clean images",
    "second": "in the features of a perceptron trained on clean images",
    "untrained": "in the features of fixed random convolutions",
}


class Column(NamedTuple):
    """A column of the table: `better` is "higher", "lower" or None if neither is better; `digits` is its number of decimals.

    `error` is the measure that holds its standard error in rows of controls, and `space` the space of features that it needs.
    """

    key: str
    title: str
    group: str
    unit: str
    better: str | None
    digits: int
    help: str
    error: str | None = None
    space: str | None = None


def _in_spaces(measure: str, title: str, group: str, better: str | None, digits: int, text: str, spaces: Iterable[str]) -> list[Column]:
    """The columns of a distance, one a space."""
    return [
        Column(
            key(measure, space),
            title + SPACES[space],
            group,
            "",
            better,
            digits,
            f"{text}, {SPACE_HELP[space]}",
            key("kid_error", space) if measure == "kid" else None,
            space,
        )
        for space in spaces
    ]


FID = "Fréchet distance to real images; it depends on the number of images, so read it next to that of real ones"
KID = "kernel distance to real images; 0 is expected for real images, and its estimate may be below 0"
COVERAGE = "share of real images with a sample in their neighbourhood, k = 5"
DENSITY = "number of real neighbourhoods (k = 5) that contain a sample, divided by k"
OTHERS = ("second", "untrained")

COLUMNS = [
    *_in_spaces("coverage", "coverage", "headline", "higher", 3, COVERAGE, [FIRST]),
    *_in_spaces("kid", "KID x 1000", "headline", "lower", 2, KID, SPACES),
    Column("cas", "CAS", "headline", "", "higher", 3,
           "accuracy on real images of a small classifier that was trained on the samples"),
    Column("recognisable_gap", "gap of recognisable", "headline", "", "lower", 3,
           "distance of the share of recognisable samples from that of real images"),
    Column("nearer_to_training", "nearer to training", "headline", "", None, 3,
           "are samples nearer to training images than to held-out images? 0.5 is expected of new images, 1 of copies"),
    Column("control", "control", "headline", "", "higher", 3, "share of samples whose class is the one asked for"),
    *_in_spaces("fid", "FID", "samples", "lower", 2, FID, SPACES),
    Column("fid_inception", "FID (Inception)", "samples", "", "lower", 2, "FID in Inception's features; n/a unless features: inception"),
    *_in_spaces("coverage", "coverage", "samples", "higher", 3, COVERAGE, OTHERS),
    *_in_spaces("density", "density", "samples", None, 3, DENSITY, SPACES),
    Column("precision", "precision", "samples", "", None, 3, "share of samples in the neighbourhood of a real image, k = 5", None, FIRST),
    Column("recall", "recall", "samples", "", "higher", 3, "share of real images in the neighbourhood of a sample, k = 5", None, FIRST),
    Column("recognisable", "recognisable", "samples", "", None, 3,
           "share of samples that the judge recognises as one of the classes, also if they are blurred: it is read next to a distance"),
    Column("balance", "balance", "samples", "", "higher", 3, "1 minus the total variation distance between sampled and real classes"),
    Column("spread", "spread", "samples", "", None, 2, "variance of a pixel within a class, relative to real images"),
    Column("novelty", "novelty", "samples", "", None, 2, "distance to the nearest training image over that of real images; copies: < 1"),
    Column("sharpness", "sharpness", "samples", "", None, 2, "coherent gradients (Zhu & Milanfar 2010), relative to real images"),
    Column("mse", "MSE", "codes", "per pixel", "lower", 4, "squared error of reconstructions"),
    Column("reconstruction_recognisable", "recognisable reconstructions", "codes", "", "higher", 3,
           "share recognised as one of the classes"),
    Column("nats", "nats", "codes", "per image", "lower", 1, "-log p(x) of binarised images, or a bound; VAE: importance-sampled"),
    Column("nats_error", "± nats", "codes", "per image", None, 2, "standard error of the nats over images"),
    Column("kl", "KL", "codes", "nats", None, 1, "KL divergence of q(z|x) from the standard normal, per image"),
    Column("active", "active", "codes", "", None, 0, "number of code elements whose posterior mean varies over images"),
    Column("probe", "linear probe", "codes", "", "higher", 3, "accuracy of a linear classifier on the codes of images"),
    Column("knn", "15-NN", "codes", "", "higher", 3, "accuracy of 15 nearest neighbours on the codes of images"),
    Column("silhouette", "silhouette", "codes", "", "higher", 2, "separation of the classes' codes, -1 to 1"),
    Column("noise_probe", "class read from noise", "noise", "", None, 3,
           "accuracy of a linear classifier that reads from the noise which class the sample without a label will show"),
    Column("sigma50_centroids", "sigma50 (centroids)", "noise", "spreads", None, 2, "noise at which half of the decodes keep the class"),
    Column("sigma50_codes", "sigma50 (codes)", "noise", "spreads", None, 2, "the same at the codes of images"),
    Column("seconds", "training", "cost", "s", "lower", 0, "seconds in training batches, without validation, up to the model that is kept"),
    Column("teraflops", "training", "cost", "TFLOP", "lower", 1,
           "floating-point operations of matrix products, convolutions and attention in training, backward and penalties included"),
    Column("sample_seconds", "1,000 samples", "cost", "s", "lower", 2, "seconds that 1,000 samples take"),
    Column("parameters", "parameters", "cost", "", None, 0, "number of parameters of the whole model"),
    Column("decoder_parameters", "decoder", "cost", "", None, 0, "number of parameters of the network that makes images from codes"),
]  # fmt: skip


def columns_of(spaces: Iterable[str], inception: bool) -> list[Column]:
    """The columns of a study: those of the spaces that it has, and FID in Inception's features if it is measured.

    The coverage in its first space comes first, whichever that is.
    """
    known = list(spaces)
    found = [column for column in COLUMNS if column.space is None or column.space in known]
    found = [column for column in found if column.key != "fid_inception" or inception]
    first = [column._replace(group="headline") for column in found if column.key == key("coverage", known[0])]
    return first + [column for column in found if column.key != key("coverage", known[0])]
