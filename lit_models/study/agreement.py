"""Whether the spaces of features put the rows of a study in the same order."""

from itertools import combinations
from typing import Any

from scipy.stats import kendalltau

from lit_models.evaluation.sample_quality import key
from lit_models.study.expressions import LEAST_COVERAGE


def agreement(found: dict[str, list[dict[str, Any]]], spaces: list[str]) -> list[dict[str, Any]]:
    """Kendall's tau of the kernel distances of all samplers in each two spaces, and of FID in Inception's features where it is measured.

    1 is the same order, 0 that of chance. Rows whose coverage is below one half are left out: they are far away in every space.
    """
    names = {space: key("kid", space) for space in spaces} | {"inception": "fid_inception"}
    rows = [row for seeds in found.values() for row in (seeds[0]["samplers"].values() if seeds else ())]
    rows = [row for row in rows if (row.get(key("coverage", spaces[0])) or 0) >= LEAST_COVERAGE]
    entries = []
    for one, other in combinations(names, 2):
        pairs = [
            (row[names[one]], row[names[other]]) for row in rows if row.get(names[one]) is not None and row.get(names[other]) is not None
        ]
        if len(pairs) > 2:
            entries.append({"spaces": [one, other], "tau": float(kendalltau(*zip(*pairs, strict=True)).statistic), "rows": len(pairs)})
    return entries
