"""One model shared by two processes on the CPU, and what cannot be shared."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import attnscope
from attnscope import LoadOptions, ranks
from attnscope.cli.exit import run
from attnscope.errors import LoadError
from attnscope.load import load
from attnscope.load.parallel import together
from attnscope.records import Heads
from tests.load.two_ranks import IDS
from tests.tiny import in_memory, tiny

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("two_ranks.py")
LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
MEANS = (
    "entropy", "distance", "self_weight", "previous_weight", "first_weight", "local_weight",
    "broad", "induction", "duplicate", "role_score",
)  # fmt: skip
SAME = (
    "layer", "head", "kv_head", "strongest_key", "future_weight", "role", "verified", "compared",
    "noticeable",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers, eight heads over four key/value heads, each as sharp as no other."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=8, num_key_value_heads=4, tie_word_embeddings=False,
        initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for number, layer in enumerate(model.model.layers):
            sharper = 0.05 * 1.2 ** (torch.arange(8.0) + 8 * number)
            layer.self_attn.q_proj.weight *= sharper.repeat_interleave(8)[:, None]
    directory = tmp_path_factory.mktemp("shared")
    model.save_pretrained(directory)
    return directory


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """As the second of two launched processes sees the environment; nobody listens."""
    for name, value in zip(LAUNCHED, ("1", "1", "2", "127.0.0.1", "1"), strict=True):
        monkeypatch.setenv(name, value)
    return monkeypatch


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in LAUNCHED}
    return clean | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def table(found: Heads, name: str) -> torch.Tensor:
    return torch.tensor([getattr(one, name) for one in found.focus], dtype=torch.float64)


@pytest.mark.slow
def test_two_processes_find_what_one_finds(shared: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launch, "--nproc-per-node", "2", SCRIPT, shared, "heads", tmp_path / "rank"],
        env=environment(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rank": 0, "heads": 16}  # one answer, of all heads
    found, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=False) for rank in (0, 1))
    assert found.focus == other.focus
    alone = attnscope.heads(IDS, model=str(shared))
    exact = attnscope.heads(IDS, model=LlamaForCausalLM.from_pretrained(shared).double())
    for name in SAME:
        assert [getattr(one, name) for one in found.focus] == [
            getattr(one, name) for one in alone.focus
        ], name
    for name in MEANS:
        # Both runs round as often, each about as far from the exact one as the floor; twice that
        # lies between them, and twice again leaves room for sixteen heads being few.
        floor = float((table(alone, name) - table(exact, name)).abs().max())
        assert 0 < floor < 1e-5, name
        floor = max(floor, torch.finfo(torch.float32).eps)  # float32 knows no smaller differences
        assert float((table(found, name) - table(alone, name)).abs().max()) <= 4 * floor, name
    assert [(view.layer, view.head) for view in found.views] == [(0, 1), (1, 6)]
    asked = attnscope.heads(IDS, model=str(shared), views=((0, 1), (1, 6)))
    for view, right in zip(found.views, asked.views, strict=True):
        torch.testing.assert_close(view.weights, right.weights, atol=1e-5, rtol=0)
    assert float(alone.received.sum()) == pytest.approx(2 * len(IDS))
    limit = 4 * float((alone.received - exact.received).abs().max())
    assert float((found.received - alone.received).abs().max()) <= limit
    entropies = table(alone, "entropy").tolist()
    assert min(abs(one - two) for one, two in combinations(entropies, 2)) > 1e-4  # no two alike
    assert (found.model.heads, found.model.parameters) == (8, alone.model.parameters)
    assert found.model.device == "cpu, 2 processes"


@pytest.mark.slow
def test_one_that_fails_ends_both_and_is_told_once(shared: Path, tmp_path: Path) -> None:
    """Without torchrun, which would end the other itself; rank 0 waits in its forward pass."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in ("0", "1"):
        place = dict(zip(LAUNCHED, (rank, rank, "2", "127.0.0.1", port), strict=True))
        command = [sys.executable, SCRIPT, shared, "fail", tmp_path / "rank"]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment() | place, **pipes))
    ends = [one.communicate(timeout=120) for one in started]
    assert [one.returncode for one in started] == [2, 2]
    assert [out for out, _ in ends] == ["", ""]
    told = [[line for line in err.splitlines() if "attnscope:" in line] for _, err in ends]
    assert told[0] == []
    assert len(told[1]) == 1
    assert "rank 1 of 2: OutOfMemoryError: no room" in told[1][0]
    assert not list(tmp_path.iterdir())


def failure(**options: Any) -> str:
    with pytest.raises(LoadError) as caught:
        load(LoadOptions(tp_plan="auto", **options))
    return str(caught.value)


def test_a_plan_needs_a_launcher(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    assert "none were launched: RANK is not set. Run `torchrun" in failure(model=str(shared))
    with pytest.raises(LoadError, match="none were launched"), together("auto"):
        pass


def test_a_single_process_shares_nothing(shared: Path, two: pytest.MonkeyPatch) -> None:
    two.setenv("WORLD_SIZE", "1")
    two.setenv("RANK", "0")
    with together("auto"):
        assert not torch.distributed.is_initialized()
        assert load(LoadOptions(model=str(shared), tp_plan="auto")).info.device == "cpu"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"device_map": "auto"}, "--device-map and --tp-plan exclude each other"),
        ({"device": "cpu"}, "--device and --tp-plan exclude each other"),
        ({"weights": "random"}, "--weights random and --tp-plan exclude each other"),
        ({"model": "tests.own.zoo:clean"}, "--tp-plan is not for tests.own.zoo:clean"),
    ],
)
def test_options_that_exclude_each_other(
    options: dict[str, str], expected: str, two: pytest.MonkeyPatch
) -> None:
    assert expected in failure(**options)


def test_a_plan_of_another_name() -> None:
    with pytest.raises(LoadError, match=r"--tp-plan mine is unknown\. Choose auto"):
        load(LoadOptions(tp_plan="mine"))


def test_a_model_without_a_plan(stored: Path, two: pytest.MonkeyPatch) -> None:
    told = failure(model=str(stored / "bloom"))
    assert "has no plan for tensor parallelism of bloom" in told
    assert "--device-map auto" in told


def test_heads_that_cannot_be_shared_evenly(tmp_path: Path, two: pytest.MonkeyPatch) -> None:
    tiny("llama", num_key_value_heads=1).save_pretrained(tmp_path)
    assert "has 1 key/value head, which 2 processes cannot share" in failure(model=str(tmp_path))
    two.setenv("WORLD_SIZE", "3")
    assert "heads, which 3 processes cannot share" in failure(model=str(tmp_path))


@pytest.mark.parametrize(
    "command",
    [
        ["trace", "a"],
        ["mask", "--model", "fable"],
        ["verify-mask", "fable"],
        ["compare", "a"],
        ["generate", "a"],
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_commands_that_do_not_share(
    command: list[str], rank: int, two: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two.setenv("RANK", str(rank))
    assert run(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == (rank == 0)
    assert ("2 processes were launched" in err) == (rank == 0)


def test_standard_input_is_no_prompt_for_several(
    two: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from attnscope.cli.prompt import read_prompt
    from attnscope.errors import PromptError

    with pytest.raises(PromptError, match="cannot all read standard input"):
        read_prompt("-", None, None)


def test_only_heads_reads_a_shared_model() -> None:
    model: Any = tiny("llama")
    model._tp_size = 2
    loaded = in_memory(model)
    for ask in (attnscope.trace, attnscope.verify):
        with pytest.raises(LoadError, match="shared by 2 processes, and only `heads`"):
            ask(model=loaded, **({"prompt": [1, 2]} if ask is attnscope.trace else {}))


def test_ranks_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    assert (ranks.rank(), ranks.world(), ranks.prints()) == (0, 1, True)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of a batch system, for all that runs there
    assert (ranks.rank(), ranks.world()) == (0, 1)
    monkeypatch.setenv("RANK", "3")
    assert (ranks.rank(), ranks.world(), ranks.prints()) == (3, 4, False)
