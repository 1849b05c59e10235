"""Threads that wait for each other leave their core to others, unless the user has said how they wait."""

import os

import pytest

from lit_models.command.threads import TIMES, wait_briefly


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, TIMES), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "PASSIVE"}, None)],
)
def test_a_limit_is_set_unless_the_user_has_set_one(given: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
