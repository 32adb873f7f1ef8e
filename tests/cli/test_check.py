"""`check` tells what works and how to mend the rest, whatever state the installation is in."""

import os
from pathlib import Path

import pytest

from realfill.cli import check
from tests.pretended_card import CARDS, pretend_card


def _driver(folder: Path, output: str, code: int = 0) -> None:
    """A program named nvidia-smi, as drivers bring it."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    program.chmod(0o755)


def test_everything_is_looked_at(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in check.check_machine(tmp_path / "runs")}
    expected = {
        "python",
        "torch",
        "device",
        "base mini",
        "base sd2",
        "memory mini",
        "memory sd2",
        "matcher loftr",
        "matcher sift",
        "disk",
        "examples",
    }
    assert expected <= findings.keys()
    assert findings["matcher sift"].good and findings["device"].good and findings["python"].good
    assert "computes in float32" in findings["device"].sentence or "computes in bfloat16" in findings["device"].sentence
    assert findings["memory mini"].good and "GPUs" in findings["memory sd2"].sentence
    assert all(finding.sentence for finding in findings.values())
    assert check.mini_works(list(findings.values())) == findings["base mini"].good
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("GTX 1070", "float32 and takes 1 of a step's 16 items at once, 8 seeds at once"),
        ("RTX 2070", "float16 and takes 4 of a step's 16 items at once, 32 seeds at once"),
        ("T4", "float16 and takes 8 of a step's 16 items at once, 32 seeds at once"),
        ("RTX 3070", "bfloat16 and takes 4 of a step's 16 items at once, 32 seeds at once"),
        ("RTX 3060", "bfloat16 and takes 8 of a step's 16 items at once, 32 seeds at once"),
        ("RTX 4060 Ti", "bfloat16 and takes 8 of a step's 16 items at once, 32 seeds at once"),
        ("RTX 4090", "bfloat16 and takes all 16 items of a step at once, 32 seeds at once"),
        ("H200", "bfloat16 and takes all 16 items of a step at once, 32 seeds at once"),
    ],
)
def test_every_card_is_told_what_it_will_do(card: str, words: str) -> None:
    with pretend_card(CARDS[card]):
        findings = {finding.name: finding for finding in check._check_memory()}
    assert findings["memory sd2"].good
    assert f"By estimate cuda computes in {words}" in findings["memory sd2"].sentence


@pytest.mark.skipif(os.name != "posix", reason="needs a shell script as a program")
@pytest.mark.parametrize(("version", "index"), [("12.4", "cu126"), ("13.1", "cu130")])
def test_a_cpu_build_beside_a_gpu_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, index: str
) -> None:
    _driver(tmp_path, f"| Driver Version: 580.1  CUDA Version: {version} |")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("torch.version.cuda", None)
    finding = next(check._check_build())
    assert not finding.good
    assert "pip install" in finding.sentence and index in finding.sentence


@pytest.mark.skipif(os.name != "posix", reason="needs a shell script as a program")
def test_a_broken_driver_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _driver(tmp_path, "NVIDIA-SMI has failed", code=9)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("torch.version.cuda", None)
    assert next(check._check_build()).good


def test_a_broken_installation_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ImportError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr("realfill.cli.check.choose_device", broken)
    findings = list(check.check_machine(tmp_path))
    device = next(finding for finding in findings if finding.name == "device")
    assert not device.good and "libcudart" in device.sentence and "requirements.txt" in device.sentence
    assert not check.mini_works(findings)
