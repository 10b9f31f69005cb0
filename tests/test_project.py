"""`[tool.attnscope]`: what is read, from where, and what every mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnscope import project as projects
from attnscope.errors import ProjectError
from attnscope.load.options import DTYPES, WEIGHTS
from attnscope.project import Project, find


def written(root: Path, text: str) -> Path:
    path = root / "pyproject.toml"
    path.write_text(text)
    return path


def project(root: Path, text: str, start: Path | None = None) -> Project:
    written(root, text)
    found = find(start or root)
    assert found is not None
    return found


def test_options_of_a_model_win_over_those_of_all(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """
        [tool.attnscope]
        baseline = "accepted/b.json"
        quick = true
        seed = 3
        [[tool.attnscope.models]]
        model = "checkpoints/tiny"
        expect = "sliding:64"
        backend = ["sdpa"]
        seed = 4
        [[tool.attnscope.models]]
        model = "mypackage.models:make_tiny"
        vocab_size = 100
        select = "influence"
        """,
    )
    tiny, made = found.models
    assert found.baseline == tmp_path / "accepted/b.json"
    assert dict(tiny.settings) == {
        "quick": True, "seed": 4, "expect": "sliding:64", "backend": ("sdpa",),
    }  # fmt: skip
    home = f"{tmp_path / 'pyproject.toml'} [tool.attnscope]"
    assert tiny.places["quick"] == f"{home} quick"
    assert tiny.places["seed"] == f"{home} model 1 ('checkpoints/tiny') seed"
    assert made.model == made.location == "mypackage.models:make_tiny"
    assert dict(made.settings) == {
        "quick": True, "seed": 3, "vocab_size": 100, "select": ("influence",),
    }  # fmt: skip


def test_the_short_form_and_both_forms(tmp_path: Path) -> None:
    text = '[tool.attnscope]\nmodels = ["fable", { model = "textbook", quick = true }]'
    fable, textbook = project(tmp_path, text).models
    assert (fable.model, dict(fable.settings)) == ("fable", {})
    assert (textbook.model, dict(textbook.settings)) == ("textbook", {"quick": True})


def test_the_first_table_upwards_counts(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    written(tmp_path / "a", '[project]\nname = "x"\n[tool.ruff]\n')
    found = project(tmp_path, '[tool.attnscope]\nmodels = ["fable"]', below)
    assert found.path == tmp_path / "pyproject.toml"
    nearer = project(tmp_path / "a", "[tool.attnscope]\n", below)
    assert (nearer.path, nearer.models) == (tmp_path / "a" / "pyproject.toml", ())


def test_none_up_to_the_root(tmp_path: Path) -> None:
    written(tmp_path, "[tool]\n")
    assert find(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("checkpoints/tiny", "{root}/checkpoints/tiny"),
        ("./elsewhere", "{root}/elsewhere"),
        ("../other", "{root}/../other"),
        ("models.py:make", "{root}/models.py:make"),
        ("org/name", "org/name"),
        ("fable", "fable"),
        ("package.models:make", "package.models:make"),
        ("/somewhere/else", "/somewhere/else"),
        ("~/model", "~/model"),
    ],
)
def test_paths_are_relative_to_the_file(name: str, location: str, tmp_path: Path) -> None:
    (tmp_path / "checkpoints/tiny").mkdir(parents=True)
    (tmp_path / "models.py").touch()
    text = f'[tool.attnscope]\nmodels = ["{name}"]'
    (one,) = project(tmp_path, text, tmp_path / "checkpoints").models
    assert one.model == name
    assert one.location == location.format(root=tmp_path)
    assert project(tmp_path, text).models[0].location == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.attnscope", "pyproject.toml is no TOML: "),
        ("[tool]\nattnscope = 3", "[tool.attnscope] is no table."),
        ("M = 1", "unknown key 'M'. Known: models, baseline, expect"),
        ("quik = true", "[tool.attnscope] has an unknown key 'quik'. Did you mean quick?"),
        ("device-map = 'auto'", "unknown key 'device-map'. Did you mean device_map?"),
        ("models = 'fable'", 'models is no list, such as ["fable", "textbook"].'),
        ("models = [3]", "model 1 is 3 and no table with a model in it."),
        ("models = ['']", "model 1 model is '' and no text."),
        ("models = ['fable', 'fable']", "lists the model 'fable' twice."),
        ("models = ['a', {quick = true}]", "model 2 does not say which: it has no key 'model'."),
        ("models = [{model = 'a', exepct = 'x'}]", "model 1 ('a') has an unknown key 'exepct'. Did"
                                                   " you mean expect?"),
        ("models = [{model = 'a', baseline = 'x'}]", "model 1 ('a') has an unknown key 'baseline'"),
        ("models = [{model = 'a', expect = 3}]", "model 1 ('a') expect is 3 and no text."),
        ("baseline = 3", "[tool.attnscope] baseline is 3 and no text."),
        ("quick = 1", "quick is 1 and neither true nor false."),
        ("seed = true", "seed is True and no whole number from 0 on."),
        ("seed = -1", "seed is -1"),
        ("length = 1", "length is 1 and no whole number from 2 on."),
        ("budget = 0.5", "budget is 0.5"),
        ("backend = []", "backend is [] and no text or list of texts."),
        ("select = ['a', 3]", "select is 3 and no text."),
        ("dtype = 'float23'", "dtype is 'float23'. Did you mean float32?"),
        ("weights = ['real']", "weights is ['real']. Did you mean real?"),
        ("weights = 'none'", "weights is 'none'. Choose from real, random."),
        ("trust_remote_code = true", "may not allow. Give --trust-remote-code on the command line"),
        ("models = [{model = 'a', allow-pickle = true}]", "model 1 ('a') allow-pickle would let"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line_that_names_the_place(
    text: str, words: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text if text.startswith("[") else f"[tool.attnscope]\n{text}")
    with pytest.raises(ProjectError) as caught:
        find(tmp_path)
    told = str(caught.value)
    assert told.startswith(str(path))
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match="is no TOML"):
        find(tmp_path)


def test_choices_are_those_of_the_loader() -> None:
    assert (projects.DTYPES, projects.WEIGHTS) == (DTYPES, WEIGHTS)
