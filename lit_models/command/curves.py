"""Curves that a resumed run continues: what was logged after the checkpoint is taken back, for it will be logged again."""

import csv
import os
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter


def rewind(run: Path, step: int) -> None:
    """Drop the points at `step` and later from event files and metrics.csv, and the leavings of an interrupted save."""
    for file in run.glob("events.out.tfevents.*"):
        _rewrite_events(file, step)
    metrics = run / "metrics.csv"
    if metrics.is_file():
        with metrics.open(newline="") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or [], [row for row in reader if int(row["step"]) < step]
        with _replacing(metrics).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(_replacing(metrics), metrics)


def _rewrite_events(file: Path, step: int) -> None:
    with _replacing(file).open("wb") as stream:
        writer = RecordWriter(stream)
        for record in RawEventFileLoader(str(file)).Load():
            event = Event.FromString(record)
            if not event.HasField("summary") or event.step < step:
                writer.write(record)
    os.replace(_replacing(file), file)


def _replacing(file: Path) -> Path:
    return file.with_name(f".{file.name}.part")
