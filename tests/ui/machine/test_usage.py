"""What is in use on this machine."""

import os
import sys
from pathlib import Path

from ui.machine.usage import Gpu, Meter, _read_gpu, folder_bytes, free_bytes


def test_gpus_are_read_as_their_program_writes_them() -> None:
    assert _read_gpu("NVIDIA L4, 512, 23034, 7") == Gpu("NVIDIA L4", 512 * 2**20, 23034 * 2**20, 0.07)
    assert _read_gpu("A, B, [N/A], 100, [N/A]") == Gpu("A, B", 0, 100 * 2**20, 0.0)
    assert _read_gpu("no answer") is None
    said = "print('NVIDIA L4, 1, 2, 3\\nNVIDIA T4, 4, 5, 6')"
    live = Meter((sys.executable, "-c", said)).look()
    assert [gpu.name for gpu in live.gpus] == ["NVIDIA L4", "NVIDIA T4"]
    assert 0 < live.memory_used < live.memory_total and live.processor >= 0
    assert Meter(("there-is-no-such-program",)).look().gpus == []
    assert Meter((sys.executable, "-c", "raise SystemExit(9)")).look().gpus == []


def test_files_that_folders_share_count_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "a").write_bytes(b"x" * 1000)
    os.link(tmp_path / "one" / "a", tmp_path / "two" / "a")
    (tmp_path / "two" / "b").write_bytes(b"x" * 10)
    sizes = folder_bytes([tmp_path / "one", tmp_path / "two"])
    alone = folder_bytes([tmp_path / "two"])
    assert sizes["one"] >= 1000 and sizes["two"] == alone["two"] - 1000
    free, total = free_bytes(tmp_path)
    assert 0 < free <= total
