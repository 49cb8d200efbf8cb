"""The table of devices, held to features rather than to this machine; and the pages that a process keeps."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.learning import devices
from semblance.learning.devices import autocast, choose_device, cpu_features, keep_pages, pages_kept, precision_for

CPU = torch.device("cpu")


@pytest.fixture
def flags(monkeypatch, tmp_path):
    """Sets what the system says of its CPU."""

    def set_flags(text: str | None) -> None:
        path = tmp_path / "cpuinfo"
        if text is not None:
            path.write_text(text)
        monkeypatch.setattr(devices, "CPUINFO", path)
        cpu_features.cache_clear()

    yield set_flags
    cpu_features.cache_clear()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_bf16\n", "fast"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16\n", "slower"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx512_bf16 amx_tile amx_bf16\n", "fast"),
        ("flags : fpu amx_bf16\n", "fast"),
        ("Features\t: fp asimd bf16 i8mm\n", "fast"),
        ("flags : fpu avx2 avx512f\n", "no bfloat16"),
        ("model name : none\n", "no bfloat16"),
        (None, "no bfloat16"),
    ],
)
def test_a_cpu_computes_in_float32_and_says_what_bfloat16_would_be(flags, said, words):
    flags(said)
    precision = precision_for(CPU)
    assert (precision.name, precision.dtype, precision.memory_format) == ("float32", None, torch.channels_last)
    assert words in precision.why


@pytest.mark.parametrize(("capability", "name"), [((8, 0), "bfloat16"), ((9, 0), "bfloat16"), ((7, 5), "float32")])
def test_a_gpu_computes_in_bfloat16_from_capability_8(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision_for(torch.device("cuda")).name == name


def test_mps_computes_in_float32():
    assert precision_for(torch.device("mps")).dtype is None


def test_the_asked_precision_is_given_whatever_the_table_says(flags):
    flags("flags : fpu\n")
    assert precision_for(CPU, "bfloat16").dtype is torch.bfloat16
    assert "although the CPU has no bfloat16" in precision_for(CPU, "bfloat16").why
    flags("flags : avx512_bf16\n")
    assert precision_for(CPU, "float32").dtype is None


def test_autocast_does_what_the_precision_says():
    a = torch.ones(4, 4)
    with autocast(CPU, precision_for(CPU, "bfloat16")):
        assert (a @ a).dtype is torch.bfloat16
    with autocast(CPU, precision_for(CPU, "float32")):
        assert (a @ a).dtype is torch.float32


def test_auto_takes_the_best_device_there_is(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ["cpu", "mps", "cuda"])
    assert choose_device().type == "cuda" and choose_device("cpu").type == "cpu"
    monkeypatch.setattr(devices, "available", lambda: ["cpu"])
    assert choose_device() == CPU


def test_absent_and_unknown_devices_are_answered_with_those_there_are(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ["cpu", "mps"])
    with pytest.raises(SemblanceError, match="cuda is not available here: choose cpu or mps"):
        choose_device("cuda")
    with pytest.raises(SemblanceError, match="did you mean cuda"):
        choose_device("cudda")
    with pytest.raises(SemblanceError, match="there is no precision 'float61'"):
        precision_for(CPU, "float61")


FAULTS = """
import resource, threading, torch
from semblance.learning.devices import keep_pages
kept = keep_pages() if {keep} else None
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def count():
    for _ in range(8): torch.ones(16 << 20).add_(1)
    before = faults()
    for _ in range(5): torch.ones(16 << 20).add_(1)
    print(kept, faults() - before)
asked = threading.Thread(target=count)
asked.run() if {here} else asked.start()
"""


def fault_count(keep: bool, here: bool = True, **environment: str) -> tuple[str, int]:
    """What `keep_pages` says and how many faults there are, in the main thread or (not `here`) in another."""
    out = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep, here=here)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    kept, faults = out.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux only")
def test_kept_pages_are_not_faulted_in_again():
    kept, few = fault_count(True)
    if kept == "False":
        pytest.skip("no glibc here, so nothing is kept")
    _, many = fault_count(False)
    # 64 MB tensors: 16,384 small pages each, or 32 huge ones where the system gives them.
    assert many >= 5 * 32 and few < many / 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux only")
def test_a_process_that_is_started_so_keeps_them_in_all_of_its_threads():
    (_, many), (_, few) = fault_count(False, here=False), fault_count(False, here=False, **pages_kept())
    assert many >= 5 * 32 and few < many / 2


def test_the_environment_can_forbid_it(monkeypatch):
    assert fault_count(True, SEMBLANCE_KEEP_PAGES="0")[0] == "False"
    monkeypatch.setenv("SEMBLANCE_KEEP_PAGES", "0")
    assert pages_kept() == {}


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_pages() is False
