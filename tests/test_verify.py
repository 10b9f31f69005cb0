"""The verdict: options, outcomes, exit codes, and a model that is left as it was."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch._dynamo.utils import counters

from attnscope import api
from attnscope.checks import CHECKS, find
from attnscope.conditions import CONDITIONS
from attnscope.errors import AttnscopeError, PromptError, SelectionError
from attnscope.experiments import copies, replay
from attnscope.experiments.laboratory import Laboratory
from attnscope.faults.cell import mix_in
from attnscope.load import LoadedModel
from attnscope.load.describe import describe
from attnscope.promises import Facts
from attnscope.records.evidence import Floor, Place
from attnscope.report import CheckResult, Report
from attnscope.shrink import build, shrink
from attnscope.verification import VerifyOptions, verify_model
from tests.census.registered import loaded as registered
from tests.tiny import tiny

CONTROLS = {"ATN001", "ATN002", "ATN003", "ATN004", "ATN301"}
FEW: dict[str, Any] = {"quick": True, "backends": ("sdpa",), "length": 9}


def loaded(model: Any) -> LoadedModel:
    return LoadedModel(
        model=model, tokenizer=None, tokenizer_problem="", info=describe(model, "tiny"),
        default_prompt="", unused_weights=(),
    )  # fmt: skip


def verify(model: Any, **options: Any) -> Report:
    return verify_model(loaded(model), VerifyOptions(**options))


def rows(report: Report, outcome: str) -> set[str]:
    return {result.code for result in report.results if result.outcome == outcome}


def of(report: Report, code: str) -> list[CheckResult]:
    return [result for result in report.results if result.code == code]


def test_a_clean_model_passes_every_check_on_every_backend() -> None:
    report = verify(tiny("llama"))
    assert (report.outcome, report.exit_code, report.backends) == ("pass", 0, ("sdpa", "eager"))
    assert rows(report, "fail") == rows(report, "error") == set()
    assert rows(report, "skip") <= {"ATN402"}  # offloading needs a GPU
    assert rows(report, "unpromised") == {"ATN205", "ATN307", "ATN408"}
    asked = {result.code for result in report.results} | {"ATN303"}
    assert asked == {check.code for check in CHECKS}
    assert any("ATN303" in note for note in report.notes)
    assert len(report.labels) == 21
    assert report.declared == ("2 layers: causal",)
    assert len(report.floors) == 2
    assert report.forwards > 1000


def test_findings_of_unpromised_rows_do_not_count() -> None:
    report = verify(tiny("llama"), backends=("sdpa",), select=("ATN307",))
    row = next(one for one in of(report, "ATN307") if one.outcome == "unpromised")
    assert row.findings
    assert "never promised" in row.reason
    assert report.findings == ()
    assert report.exit_code == 0


def bert() -> Any:
    return build(shrink(transformers.BertConfig(is_decoder=False)))


def test_a_bidirectional_model_fails_and_its_config_is_named() -> None:
    report = verify(bert(), **FEW)
    assert (report.outcome, report.exit_code) == ("fail", 1)
    assert {"ATN101", "ATN201", "ATN301", "ATN302"} <= rows(report, "fail")
    (finding,) = of(report, "ATN301")[0].findings
    assert finding.key is not None
    assert finding.query is not None
    assert finding.key > finding.query
    assert finding.module.startswith("bert.encoder.layer.0.attention")
    assert finding.layer == 0
    assert "is_decoder=False" in finding.message


def test_what_is_expected_is_no_leak() -> None:
    report = verify(bert(), expect="bidirectional", **FEW)
    assert rows(report, "fail") == set()
    assert (report.outcome, report.exit_code) == ("pass", 0)
    assert report.declared == ("expected: bidirectional",)


def test_a_causal_model_is_blind_to_what_is_expected() -> None:
    report = verify(tiny("llama"), expect="bidirectional", **FEW)
    assert rows(report, "fail") == {"ATN203", "ATN304"}
    assert all(one.outcome == "pass" for one in of(report, "ATN301"))


@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_a_window_that_is_expected_and_missing_is_found_by_mask_and_influence(name: str) -> None:
    report = verify(tiny(name), expect="sliding:4", **FEW)
    assert rows(report, "fail") == {"ATN202", "ATN303"}
    for result, finding in report.findings:
        assert finding.key is not None, result.code
        assert finding.query is not None
        assert finding.query - finding.key >= 4
        assert finding.module.endswith("self_attn")


def test_a_model_through_which_nothing_is_seen_is_not_checked() -> None:
    model = tiny("llama")
    for parameter in model.parameters():
        parameter.data.zero_()
    report = verify(model, **FEW)
    assert (report.outcome, report.exit_code) == ("skip", 3)
    assert of(report, "ATN003")[0].outcome == "skip"
    assert not rows(report, "pass") & {"ATN301", "ATN302", "ATN401", "ATN405"}


def test_logits_that_are_no_numbers_are_not_checked() -> None:
    model = tiny("llama")
    model.lm_head.weight.data[:] = float("nan")
    with pytest.raises(AttnscopeError, match=r"hold NaN, first in .*lm_head|hold NaN"):
        verify(model, **FEW)


def test_one_checks_failure_does_not_take_the_others_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Any, evidence: Any) -> Any:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(find("ATN105"), "judge", broken)
    report = verify(tiny("llama"), **FEW)
    assert (report.outcome, report.exit_code) == ("error", 2)
    (row,) = of(report, "ATN105")
    assert row.outcome == "error"
    assert "ZeroDivisionError: oh" in row.reason
    assert rows(report, "error") == {"ATN105"}
    assert {"ATN101", "ATN301", "ATN405"} <= rows(report, "pass")


def test_a_finding_outweighs_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, evidence: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(find("ATN105"), "judge", broken)
    report = verify(bert(), **FEW)
    assert rows(report, "error") == {"ATN105"}
    assert report.exit_code == 1


def test_a_floor_that_breaks_is_a_row_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Laboratory, "_floor", broken)
    report = verify(tiny("llama"), **FEW)
    assert rows(report, "error") == {"ATN004"}
    assert report.exit_code == 2


def test_a_backend_that_was_named_and_does_not_run_is_told() -> None:
    with pytest.raises(AttnscopeError, match="LlamaForCausalLM"):
        verify(tiny("llama"), backends=("flash_attention_2",))


def fails_on(model: Any, backend: str) -> Any:
    """The model, broken on one of its backends."""

    def refuse(module: Any, args: Any) -> None:
        if model.config._attn_implementation == backend:
            raise ValueError(f"no {backend} here")

    model.model.layers[1].register_forward_pre_hook(refuse)
    return model


def test_a_backend_that_was_not_named_and_does_not_run_is_left_out() -> None:
    asked: dict[str, Any] = {"quick": True, "length": 9}
    report = verify(fails_on(tiny("llama", backend="sdpa"), "eager"), **asked)
    assert (report.outcome, report.exit_code, report.backends) == ("pass", 0, ("sdpa",))
    (note,) = [note for note in report.notes if "eager" in note]
    assert note.startswith("eager was left out: LlamaForCausalLM failed on eager: ValueError")
    assert {result.backend for result in report.results} == {"sdpa"}
    assert len(report.floors) == 1


def test_a_backend_that_is_the_models_own_or_was_named_must_run() -> None:
    for backends in (("sdpa", "eager"), ("eager",)):
        with pytest.raises(AttnscopeError, match="no eager here"):
            verify(fails_on(tiny("llama"), "eager"), **{**FEW, "backends": backends})
    with pytest.raises(AttnscopeError, match="no sdpa here"):
        verify(fails_on(tiny("llama", backend="sdpa"), "sdpa"), quick=True, length=9)


def test_kernels_without_float32_are_judged_in_their_own_dtype() -> None:
    """FlashAttention is one."""
    model = tiny("llama").to(torch.bfloat16)

    def refuse(module: Any, args: tuple[Tensor]) -> None:
        if args[0].dtype == torch.float32:
            raise ValueError("only fp16 and bf16")

    model.model.layers[0].mlp.register_forward_pre_hook(refuse)
    report = verify(model, **{**FEW, "backends": ("sdpa", "eager")})
    assert (report.outcome, report.backends) == ("pass", ("sdpa", "eager"))
    assert not any("not known" in words for words in report.floors)
    assert [one.outcome for one in of(report, "ATN501")] == ["pass"]


def test_named_backends_are_asked_in_order_and_once() -> None:
    report = verify(tiny("llama", backend="sdpa"), **{**FEW, "backends": ("eager", "auto", "sdpa")})
    assert report.backends == ("eager", "sdpa")
    assert [result.backend for result in of(report, "ATN501")] == ["eager, sdpa"]


@pytest.mark.parametrize(
    ("word", "also"),
    [
        ("ATN401", {"ATN401"}),
        ("atn40", {f"ATN40{number}" for number in range(1, 10)}),
        ("ATN1xx", {"ATN101", "ATN102", "ATN103", "ATN104", "ATN105"}),
        ("mask-open-ahead", {"ATN201"}),
        ("backends", {"ATN501"}),
    ],
)
def test_select_takes_codes_beginnings_names_and_families(word: str, also: set[str]) -> None:
    chosen = {check.code for check in CHECKS if VerifyOptions(select=(word,)).asks(check)}
    assert chosen == CONTROLS | also


@pytest.mark.parametrize(
    ("name", "word", "backends"),
    [
        ("mamba", "ATN307", ("eager",)),  # it takes no position ids
        ("llama", "ATN303", ("sdpa",)),  # it has no window
        ("llama", "backends", ("sdpa",)),  # one has no other to differ from
    ],
)
def test_a_selection_of_which_nothing_could_be_asked_is_not_clean(
    name: str, word: str, backends: tuple[str, ...]
) -> None:
    report = verify(tiny(name), select=(word,), backends=backends, length=9, budget=1)
    assert rows(report, "pass") == CONTROLS
    assert (report.outcome, report.exit_code) == ("skip", 3)
    also = verify(tiny(name), select=(word, "ATN302"), backends=backends, length=9, budget=1)
    assert also.exit_code == 0


def test_a_model_in_which_no_planted_leak_is_seen_is_not_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = Floor(weight=None, place=Place(module="", layer=None), dtype="float32")
    monkeypatch.setattr(Laboratory, "_floor", lambda self: nothing)
    report = verify(tiny("llama"), **FEW)
    assert rows(report, "skip") >= {"ATN004"}
    assert rows(report, "fail") == rows(report, "error") == set()
    assert (report.outcome, report.exit_code) == ("skip", 3)


def test_modules_that_cannot_be_replayed_are_not_checked() -> None:
    model = tiny("llama")
    inside: list[bool] = []
    model.register_forward_pre_hook(lambda module, args: inside.append(True))
    model.register_forward_hook(lambda module, args, output: inside.pop() and None)

    def needs_its_caller(module: Any, args: Any) -> None:
        if not inside:
            raise RuntimeError("what the layer before has prepared is not there")

    model.model.layers[1].mlp.register_forward_pre_hook(needs_its_caller)
    report = verify(model, **FEW)
    for code in ("ATN302", "ATN303", "ATN304"):
        (row,) = of(report, code)
        assert row.outcome == "skip"
        assert row.reason == "1 module cannot be replayed, first model.layers.1.mlp"
    assert "ATN301" in rows(report, "pass")
    assert report.exit_code == 0


def test_packing_that_was_never_promised_excuses_no_look_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stranger(self: Laboratory) -> Facts:
        return replace(facts(self), masks_packed=False)

    facts = Laboratory._facts
    monkeypatch.setattr(Laboratory, "_facts", stranger)
    model = tiny("llama")

    def ahead_when_packed(module: Any, args: Any, given: Any, output: Tensor) -> Tensor:
        places = given["position_ids"][0]
        if bool((places[1:] >= places[:-1]).all()):
            return output
        return output + output[:, -1:]

    model.model.layers[1].register_forward_hook(ahead_when_packed, with_kwargs=True)
    report = verify(model, select=("ATN301", "ATN307"), backends=("sdpa",), length=9, budget=1)
    failed = {(one.code, one.condition) for one in report.results if one.outcome == "fail"}
    assert failed == {("ATN301", CONDITIONS["packed"].title)}
    assert "ATN307" in rows(report, "unpromised")
    assert report.exit_code == 1


def test_too_few_tokens_for_a_condition_are_told() -> None:
    report = verify(tiny("llama"), select=("ATN401",), backends=("sdpa",), length=5, budget=1)
    (row,) = [one for one in of(report, "ATN401") if one.outcome == "skip"]
    assert row.condition == CONDITIONS["chunked_prefill"].title
    assert row.reason == "5 tokens are too few: it takes 6"
    assert report.exit_code == 0


def test_ignore_leaves_out_no_control() -> None:
    report = verify(tiny("llama"), ignore=("ATN3xx", "ATN2", "observer"), **FEW)
    codes = {result.code for result in report.results}
    assert {"ATN001", "ATN002", "ATN003", "ATN004", "ATN301"} <= codes
    assert not codes & {"ATN201", "ATN302", "ATN305"}
    assert report.exit_code == 0
    kept = verify(tiny("llama"), ignore=("ATN2",), **FEW)
    assert kept.exit_code == 0


@pytest.mark.parametrize("field", ["select", "ignore"])
@pytest.mark.parametrize("word", ["ATN999", "future_influence", ""])
def test_a_word_that_names_no_check_is_no_clean_verdict(field: str, word: str) -> None:
    options: dict[str, Any] = {field: (word,)}
    with pytest.raises(SelectionError):
        verify(tiny("llama"), **options, **FEW)


def test_quick_asks_less() -> None:
    report = verify(tiny("llama"), quick=True, backends=("sdpa",))
    assert report.outcome == "pass"
    assert report.forwards < 150
    assert not rows(report, "pass") & {"ATN401", "ATN402", "ATN407"}


def test_length_ids_and_seed_decide_the_tokens() -> None:
    quick: dict[str, Any] = {"quick": True, "backends": ("sdpa",)}
    assert len(verify(tiny("llama"), length=7, **quick).labels) == 7
    given = verify(tiny("llama"), ids=(5, 6, 7, 8, 9), **quick)
    assert len(given.labels) == 5
    assert given.outcome == "pass"
    quick["length"] = 7
    one, again, other = (verify(tiny("llama"), seed=seed, **quick) for seed in (0, 0, 1))
    assert replace(one, seconds=0.0) == replace(again, seconds=0.0)
    assert one.labels != other.labels


@pytest.mark.parametrize("options", [{"length": 1}, {"length": 10_000}, {"ids": (5,)}])
def test_too_short_and_too_long_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(PromptError):
        verify(tiny("llama"), **options)


@pytest.mark.parametrize("length", [2, 4, 6])
def test_short_prompts_are_clean_or_skipped(length: int) -> None:
    report = verify(tiny("llama"), backends=("sdpa",), length=length)
    assert rows(report, "fail") == rows(report, "error") == set()


def test_a_budget_samples_positions_and_says_so() -> None:
    whole = verify(tiny("llama"), **{**FEW, "length": 21})
    part = verify(tiny("llama"), budget=200, **{**FEW, "length": 21})
    assert part.outcome == "pass"
    assert part.forwards < whole.forwards
    assert "a sample of" in of(part, "ATN301")[0].reason
    assert "all 21 positions" in of(whole, "ATN301")[0].reason


def test_bad_expectations_are_told() -> None:
    with pytest.raises(SelectionError):
        verify(tiny("llama"), expect="sideways")


def test_training_without_chance_is_judged_as_evaluation_is() -> None:
    model = tiny("llama")
    evaluated = verify(model, **FEW)
    model.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model.gradient_checkpointing_enable()
    trained = verify(model, **FEW)
    assert model.training
    outcomes = [
        [(one.code, one.condition, one.outcome) for one in report.results]
        for report in (evaluated, trained)
    ]
    assert outcomes[0] == outcomes[1]
    assert trained.exit_code == 0


def test_dropout_is_chance_and_no_leak() -> None:
    model = tiny("gpt2")  # with dropout 0.1
    model.train()
    report = verify(model, **FEW)
    assert (report.outcome, report.exit_code) == ("skip", 3)
    assert "dropout" in of(report, "ATN001")[0].reason
    assert rows(report, "fail") == set()
    assert model.training


def test_roberta_counts_its_positions_from_the_pad() -> None:
    model = build(shrink(transformers.RobertaConfig(is_decoder=True)))
    report = verify(model, backends=("eager",), select=("ATN404", "ATN401"), length=9)
    assert rows(report, "fail") == set()
    assert report.outcome == "pass"


def state(model: Any) -> dict[str, Any]:
    """All that could be left behind."""
    return {
        "hooks": [
            (name, len(one._forward_hooks), len(one._forward_pre_hooks))
            for name, one in model.named_modules()
        ],
        "training": [one.training for one in model.modules()],
        "backend": model.config._attn_implementation,
        "experts": getattr(model.config, "_experts_implementation", None),
        "config": model.config.to_dict(),
        "dtypes": Counter(one.dtype for one in model.parameters()),
        "weights": {name: float(one.double().sum()) for name, one in model.state_dict().items()},
        "gradients": [one.grad is None and one.requires_grad for one in model.parameters()],
    }


@pytest.mark.parametrize("name", ["llama", "mixtral", "gpt_oss", "mamba"])
def test_the_model_is_left_as_it_was(name: str) -> None:
    model = tiny(name)
    before, random = state(model), torch.get_rng_state()
    verify(model, quick=True)
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [3, 30, 60])
def test_the_model_is_left_as_it_was_after_an_interrupt(
    error: type[BaseException], at: int
) -> None:
    model = tiny("mixtral", backend="sdpa")
    before, random = state(model), torch.get_rng_state()
    ran = 0

    def interrupt(*args: Any) -> None:
        nonlocal ran
        ran += 1
        if ran == at:
            raise error

    handle = model.model.layers[1].mlp.register_forward_hook(interrupt)
    try:
        verify(model, quick=True, backends=("eager",), length=9)
    except (error, AttnscopeError):
        pass
    finally:
        handle.remove()
    assert ran >= at
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), random)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    verify(tiny("llama"), **FEW)
    assert capfd.readouterr().out == ""


def test_progress_is_told() -> None:
    words: list[str] = []
    verify_model(loaded(tiny("llama")), VerifyOptions(**FEW), words.append)
    assert any("verifying tiny: " in one for one in words)


def test_a_saved_model_is_verified_by_name(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path)
    report = api.verify(str(tmp_path), VerifyOptions(**FEW))
    assert report.exit_code == 0
    assert report.model.architecture == "LlamaForCausalLM"


def test_quick_asks_compiled_kernels_at_one_shape() -> None:
    quick, full = VerifyOptions(quick=True), VerifyOptions()
    for check in CHECKS:
        assert set(quick.keys(check, "flex_attention")) <= {"plain"}
        assert quick.keys(check, "sdpa") == check.quick
        assert full.keys(check, "flex_attention") == check.conditions
        if check.required:
            assert quick.keys(check, "flex_attention") == ("plain",)


def test_pads_behind_the_tokens_are_the_future_whatever_was_promised() -> None:
    """RecurrentGemma never promised to keep pads out; those after the tokens are later tokens."""
    model = registered("recurrent_gemma", "eager")

    def add_last(module: Any, args: Any, output: Tensor) -> Tensor:
        return output + 0.5 * output[:, -1:] if output.shape[1] > 21 else output

    model.model.get_input_embeddings().register_forward_hook(add_last)
    report = verify_model(model, VerifyOptions(quick=True))
    assert report.outcome == "fail"
    assert {(one.code, one.condition) for one, _ in report.findings} >= {
        ("ATN306", "right padding")
    }


def test_experts_computed_apart_settle_it_without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leak as small as rounding, in a model of which there is no finer copy."""
    monkeypatch.setattr(copies, "exact_copy", lambda *given: None)
    monkeypatch.setattr(replay, "exact_copy", lambda *given: None)
    model = registered("mixtral", "eager")
    leaking = model.model.get_submodule("model.layers.1.mlp")
    with mix_in(leaking, query=3, key=9, weight=1e-5):
        report = verify_model(model, VerifyOptions(quick=True, select=("ATN301",)))
    assert report.outcome == "fail"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "masks"), [("llama", 1), ("gemma2", 2)])
def test_quick_compiles_one_kernel_for_each_mask(name: str, masks: int) -> None:
    """And the making of that mask, which transformers compiles, too."""
    model = registered(name, "flex_attention")
    torch._dynamo.reset()
    counters.clear()
    report = verify_model(model, VerifyOptions(quick=True, backends=("flex_attention",)))
    assert report.outcome == "pass"
    assert counters["stats"]["unique_graphs"] == 2 * masks
