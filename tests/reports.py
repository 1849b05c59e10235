"""What the tests of user reports share."""

import pytest

F = ["--config", "fast", "--data.dataset=digits", "--data.limit=200", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
SMALL = ["--model.channels=16"]


def three_lines(capsys: pytest.CaptureFixture) -> str:
    said = capsys.readouterr().err.strip()
    lines = [line for line in said.splitlines() if line.startswith("lightning: ")]
    assert 1 <= len(lines) <= 3
    assert "Traceback" not in said
    return "\n".join(lines)
