"""In 3,000 steps of each model, memory and the number of open files do not grow."""

from pathlib import Path

import pytest
from conftest import DIGITS, MODELS, SMALL, bare_config, run_process

WATCH = """
import gc, os
from lightning.pytorch import Callback


class Watch(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step % 500 == 0:
            gc.collect()
            pages = int(open("/proc/self/statm").read().split()[1])
            with open("watched.txt", "a") as file:
                file.write(f"{trainer.global_step} {pages * 4096} {len(os.listdir('/proc/self/fd'))}" + chr(10))
"""


@pytest.mark.by_hand
@pytest.mark.parametrize("model", MODELS)
def test_memory_and_open_files_do_not_grow_in_three_thousand_steps(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "watch.py").write_text(WATCH)
    words = ["--import=watch", "--trainer.callbacks+=watch.Watch", "--trainer.max_steps=3000", "--trainer.max_epochs=-1"]
    words += ["--trainer.check_val_every_n_epoch=50", "--trainer.enable_progress_bar=false"]
    common = ["--config", model, "--config", bare_config(model), *DIGITS, *SMALL[model]]
    done = run_process("fit", *common, *words, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    watched = [tuple(map(int, line.split())) for line in (tmp_path / "watched.txt").read_text().splitlines()]
    assert [step for step, _, _ in watched] == list(range(500, 3001, 500))
    memory, files = [each[1] for each in watched], [each[2] for each in watched]
    assert max(memory) <= 1.02 * memory[0], memory
    assert len(set(files)) == 1, files
