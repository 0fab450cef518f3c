from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from growmix.baselines.catalogue import METHODS
from growmix.config import RunConfig, checked_values, config_in, idle_keys, keys, read_values
from growmix.errors import BadInput
from growmix.settings import Settings

configs = st.builds(
    RunConfig,
    stream=st.sampled_from(["split-digits", "domains"]),
    tasks=st.none() | st.lists(st.sampled_from(["mnist", "mnist@invert"]), min_size=1).map(tuple),
    data_root=st.none() | st.just(Path("some") / "data"),
    label_space=st.sampled_from(["separate", "shared"]),
    settings=st.builds(
        Settings,
        blueprint=st.sampled_from(["mlp", "conv"]),
        supervised=st.none() | st.booleans(),
        threshold=st.none() | st.floats(0, 1e9),
        learning_rate=st.floats(1e-12, 1e3),
        epochs=st.none() | st.integers(1, 10**6),
        precision=st.sampled_from(["auto", "32-true", "16-mixed"]),
        seed=st.integers(0, 2**32 - 1),
    ),
)


@pytest.mark.slow
@given(configs)
def test_a_written_config_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> None:
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    config.write(file)
    assert RunConfig.of(read_values(file)) == config


def test_a_written_config_does_not_say_where_to_write(tmp_path: Path) -> None:
    RunConfig(stream="split-digits", out=tmp_path).write(tmp_path / "config.yaml")
    assert "out" not in yaml.safe_load((tmp_path / "config.yaml").read_text())


def test_every_setting_and_every_parameter_of_a_method_is_a_key() -> None:
    parameters = {each.name for method in METHODS.values() for each in method.parameters}
    own = {field.name for field in (*fields(RunConfig), *fields(Settings))} - {"settings", "parameters"}
    assert set(keys()) == own | parameters
    of_pec = {"pec_hidden", "pec_outputs", "pec_teacher_hidden"}
    assert parameters == {"buffer_size", "ewc_strength", "si_strength", *of_pec}
    assert all(each.group and each.help.endswith(".") for each in keys().values())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"alpha": 2.0}, "alpha is 2.0, which has no effect with gate 'threshold'; it has one with gate dirichlet"),
        (
            {"variance": 0.1},
            "variance is 0.1, which has no effect with likelihood 'bernoulli'; it has one with likelihood",
        ),
        ({"student": False, "student_epochs": 3}, "student_epochs is 3, which has no effect with student False"),
        (
            {"supervised": False, "label_fraction": 0.5},
            "label_fraction is 0.5, .* supervised False; .* supervised true",
        ),
        ({"likelihood_draws": 0, "likelihood_examples": 9}, "it has one with likelihood_draws above 0"),
        ({"buffer_size": 9}, "buffer_size is 9, which has no effect with method 'mixture'; it has one with method er"),
        ({"method": "ewc", "si_strength": 9.0}, "si_strength is 9.0, .* 'ewc'; it has one with method si"),
        ({"method": "er", "threshold": 0.3}, "threshold is 0.3, .* 'er'; it has one with method mixture or limix"),
        ({"method": "joint", "student_hidden": 8}, "student_hidden is 8, .* 'joint'; it has one with method mixture"),
        ({"blueprint": "conv", "student_hidden": 8}, "student_hidden is 8, .* it has one with .*student_blueprint mlp"),
        ({"student_width": 8}, "student_width is 8, which has no effect with student_networks 'mlp'"),
        ({"method": "vae-per-task", "gate": "dirichlet"}, "gate is 'dirichlet', but the method 'vae-per-task' is what"),
        ({"method": "vae-per-task", "threshold": 0.3}, "threshold is 0.3, which has no effect with gate 'always'"),
    ],
)
def test_a_key_without_effect_is_refused_with_what_would_use_it(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        RunConfig.of({"stream": "split-digits", **values})
    left = RunConfig.fitting({"stream": "split-digits", **values})  # as studies take it: what is idle has its default
    assert not idle_keys({k: v for k, v in left.to_dict().items() if k in keys()} | {"out": None})


def test_a_key_that_has_its_default_is_never_refused() -> None:
    for method in METHODS:
        RunConfig.of({name: each.default for name, each in keys().items()} | {"stream": "x", "method": method})


def test_a_method_uses_what_it_is_made_of() -> None:
    assert RunConfig.of({"stream": "x", "method": "limix", "alpha": 2.0}).settings.alpha == 2.0
    assert RunConfig.of({"stream": "x", "support": "real", "variance": 0.1}).settings.variance == 0.1


def test_parameters_of_a_method_are_keys_of_its_configuration_alone() -> None:
    config = RunConfig.of({"stream": "split-digits", "method": "er", "buffer_size": "20"})
    assert config.parameters == {"buffer_size": 20} and config.to_dict()["buffer_size"] == 20
    assert RunConfig.of(config.to_dict()) == config
    assert RunConfig.of({"stream": "x", "method": "ewc"}).to_dict()["ewc_strength"] == 10.0
    assert "buffer_size" not in RunConfig.of({"stream": "split-digits"}).to_dict()
    with pytest.raises(BadInput, match="buffer_size is 0; allowed is a whole number of 1 or more"):
        RunConfig.of({"stream": "split-digits", "method": "er", "buffer_size": 0})
    with pytest.raises(BadInput, match="size is no parameter of the method 'er'; did you mean buffer_size"):
        RunConfig(stream="split-digits", method="er", parameters={"bufer_size": 9})


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"epoch": 3}, ["epoch ", "did you mean epochs?"]),
        ({"learning-rate": 1}, ["learning-rate", "did you mean learning_rate?"]),
        ({"xyzzy": 3}, ["xyzzy", "allowed are", "epochs"]),
        ({True: 3}, ["True"]),
        ({"epochs": 1.5}, ["epochs", "1.5", "a whole number"]),
        ({"epochs": True}, ["epochs", "True", "a whole number"]),
        ({"epochs": [3]}, ["epochs", "[3]", "a whole number"]),
        ({"epochs": 0}, ["epochs", "0", "1 or more"]),
        ({"latent": None}, ["latent", "None", "a whole number"]),
        ({"learning_rate": "fast"}, ["learning_rate", "fast", "a finite number above 0"]),
        ({"learning_rate": float("nan")}, ["learning_rate", "nan", "finite"]),
        ({"holdout": 0.9}, ["holdout", "0.9", "0.5"]),
        ({"novelty": "kss"}, ["novelty", "kss", "rank, ks, smd, paper, stored", "did you mean ks?"]),
        ({"supervised": "maybe"}, ["supervised", "maybe", "true or false"]),
        ({"supervised": 1}, ["supervised", "1", "true or false"]),
        ({"label_space": "both"}, ["label_space", "both", "separate, shared"]),
        ({"tasks": []}, ["tasks", "names"]),
        ({"tasks": "mnist,,cifar10"}, ["tasks", "mnist,,cifar10"]),
        ({"precision": 32}, ["precision", "32", "32-true"]),
        ({"out": ""}, ["out", "a path"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"stream": None}, ["stream", "text"]),
        ({"stream": "a\0b"}, ["stream", "text in one line"]),
        ({"classification_weight": 10**400}, ["classification_weight", "a finite number of 0 or more"]),
        ({"hidden": "9" * 5_000}, ["hidden", "999...; allowed is a whole number"]),
        ({"data_root": "a\0b"}, ["data_root is 'a\\x00b'", "a path"]),
        ({"data_root": "~no-such-user/x"}, ["data_root", "a path"]),
        ({"out": "x" * 300}, ["out", "a path", "too long"]),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(values: dict[Any, Any], parts: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        RunConfig.of({"stream": "split-digits", **values})
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stream": 5}, "stream is 5; allowed is text"),
        ({"student": "no"}, "student is 'no'; allowed is true or false"),
        (
            {"train_examples": 1.5},
            "train_examples is 1.5; allowed is a whole number of 4 or more",
        ),
        ({"likelihood_draws": -1}, "likelihood_draws is -1; allowed is a whole number from 0 to 10,000"),
        ({"likelihood_draws": 10_001}, "likelihood_draws is 10001; allowed is a whole number from 0 to 10,000"),
        ({"likelihood_examples": 2**63}, "likelihood_examples is 9223372036854775808; allowed is a whole number of 1"),
        ({"data_root": 5}, "data_root is 5; allowed is a path"),
        ({"tasks": "mnist,,x"}, "tasks is 'mnist,,x'; allowed is names with commas"),
        ({"checkpoint_every": float("nan")}, "checkpoint_every is nan; allowed is a finite number of 0 or more"),
        ({"tasks": np.eye(40)}, "tasks is array"),
        ({"label_space": np.eye(40)}, "label_space is array"),
        ({"settings": {}}, "settings is {}; give a Settings"),
        ({"label_fraction": 5}, "label_fraction is 5; allowed is a finite number from 0 to 1"),
        ({"label_fraction": float("nan")}, "label_fraction is nan; allowed is a finite number from 0 to 1"),
        ({"train_examples": -5}, "train_examples is -5; allowed is a whole number of 4 or more, below 2**63, or none"),
        ({"test_examples": 0}, "test_examples is 0; allowed is a whole number of 1 or more, below 2**63, or none"),
    ],
)
def test_a_config_made_in_python_is_checked_like_a_file(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        RunConfig(**{"stream": "split-digits", **values})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_config_made_in_python_is_of_the_types_of_a_file() -> None:
    given: dict[str, Any] = {"tasks": ["mnist"], "data_root": "data", "test_examples": np.int64(7)}
    config = RunConfig(stream="domains", **given)
    assert config == RunConfig.of({"stream": "domains", **given})
    assert (config.tasks, config.data_root, type(config.test_examples)) == (("mnist",), Path("data").absolute(), int)


@pytest.mark.parametrize("values", [None, 5, "epochs: 3", [("epochs", 3)]])
def test_what_holds_no_keys_is_no_configuration(values: Any) -> None:
    with pytest.raises(BadInput, match=r"^values is .*; allowed is a mapping"):
        RunConfig.of(values)


def test_only_keys_can_be_changed() -> None:
    config = RunConfig(stream="split-digits")
    assert config.changed(method="er").method == "er"
    with pytest.raises(BadInput, match=r"^foo is no key; allowed are stream, method, .*settings, parameters$"):
        config.changed(foo=1)


def test_a_stream_is_needed() -> None:
    with pytest.raises(BadInput, match="stream is missing"):
        RunConfig.of({"epochs": 3})


def test_numbers_may_be_spelt_as_yaml_does_not_know_them() -> None:
    document = yaml.safe_load(
        "learning_rate: 2e-3\nclassification_weight: 3\nsupervised: false\ntasks: [mnist, cifar10]"
    )
    assert document["learning_rate"] == "2e-3"  # YAML 1.1 wants a point and a sign
    assert checked_values(document) == {
        "learning_rate": 0.002,
        "classification_weight": 3.0,
        "supervised": False,
        "tasks": ("mnist", "cifar10"),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- a\n- b\n", "holds a list"),
        (b"just text", "holds a str"),
        (b"epochs: [1, 2", "is no YAML"),
        (b"\xff\xfe\x00", "is no text in UTF-8|is no YAML"),
        (b"epoch: 3", "did you mean epochs"),
        (b"epochs: many", "epochs is 'many'"),
        (b"!!python/object/apply:os.system ['true']", "is no YAML"),
        (b"hidden: 3\nepochs: 1\nhidden: 4", "hidden is there twice"),
        (b"tasks: &a [mnist]\nreplace: *a", "aliases are not allowed"),
        (b"tasks: &a [*a]", "aliases are not allowed"),
        (b"hidden: 1_0:30", "hidden is '1_0:30'; allowed is a whole number"),
        (b"classification_weight: 1:30.5", "classification_weight is '1:30.5'; allowed is a finite number"),
        (b"classification_weight: 1" + b"0" * 400, "classification_weight is 1000.*; allowed is a finite number"),
        (b"hidden: " + b"9" * 5_000, "is no YAML: Exceeds the limit"),
        (b"[" * 3_000, "is no YAML"),
        (b'stream: "a\\0b"', "stream is 'a"),
        (b"out: !!timestamp 2024-13-45", "is no YAML: month must be in"),
        (b"supervised: !!bool maybe", "is no YAML"),
        (b"hidden: !!int ''", "is no YAML"),
        (b"<<: {hidden: 3}", "<< is no key"),
        (b"latent: 32\nlatent: 64 # " + b"x" * 2**20, "has more than 1,048,576 bytes"),
        (b"? [a, b]\n: 1", "is no YAML"),
        (b"k" * 500 + b": 1", "kkk... is no key"),
        (b"!" + b"k" * 5_000 + b" 1", "is no YAML: could not determine"),
        (b"? 0x" + b"f" * 5_000 + b"\n: 1", "a int is no key"),
        (b"a: &a [1, 2]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases are not allowed"),
        (b"novelty: " + b"[" * 300 + b"]" * 300, "novelty is .*; allowed is one of"),
        (b"classification_weight: .nan", "classification_weight is nan; allowed is a finite number"),
        (b"stream: split-digits\nepochs: 0", "epochs is 0; allowed is a whole number of 1 or more"),
        (b"train_examples: -5", "train_examples is -5"),
        (b"checkpoint_every: -1", "checkpoint_every is -1; allowed is a finite number of 0 or more"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=reason) as caught:
        read_values(file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 1_500 and "\n" not in str(caught.value)


def test_a_device_without_end_is_no_configuration() -> None:
    with pytest.raises(BadInput, match="config '/dev/zero' has more than"):
        read_values(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["missing.yaml", ""])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        read_values(tmp_path / name)


def test_a_number_of_eight_digits_does_not_begin_with_naught(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("hidden: 010\nseed: 0\nclassification_weight: 0.5")
    assert read_values(tmp_path / "config.yaml") == {"hidden": 10, "seed": 0, "classification_weight": 0.5}


def test_a_date_is_text(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("out: 2024-13-45\nstream: 2024-01-01")
    assert read_values(tmp_path / "config.yaml") == {"out": Path("2024-13-45"), "stream": "2024-01-01"}


@pytest.mark.parametrize("values", [{"alpha": 2.0}, {"method": "ewc", "threshold": 0.3}, {"ewc_strength": 5.0}])
def test_a_file_may_hold_what_only_options_beside_it_give_an_effect(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
    assert read_values(tmp_path / "config.yaml") == values


@pytest.mark.parametrize("said", ["alpha: 2.0", "ewc_strength: 5.0", "method: vae-per-task\ngate: dirichlet"])
def test_the_file_of_a_run_is_named_where_a_key_has_no_effect(tmp_path: Path, said: str) -> None:
    (tmp_path / "config.yaml").write_text(f"stream: split-digits\n{said}\n")
    with pytest.raises(BadInput, match=r"config .*config\.yaml': (alpha|ewc_strength|gate) is "):
        config_in(tmp_path)


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    assert read_values(tmp_path / "empty.yaml") == {}


def test_default_folder_tells_stream_and_seed() -> None:
    assert RunConfig.of({"stream": "split-digits", "seed": 3}).folder == Path("runs/split-digits-seed3")
    assert RunConfig.of({"stream": "split-digits", "out": "here"}).folder == Path("here")


@pytest.mark.parametrize(
    "change",
    [{"sampling": "prior"}, {"density_components": 3}, {"likelihood": "gaussian"}],
    ids=lambda each: next(iter(each)),
)
def test_what_only_autoencoders_use_is_refused_where_a_run_has_none(change: dict[str, Any]) -> None:
    (name,) = change
    assert not idle_keys({"component": "denoiser", **change})  # the student is one
    assert not idle_keys({"component": "vae+denoiser", "student": False, **change})
    for values in ({"student": False}, {"method": "fine-tuning"}):
        reason = idle_keys({"component": "denoiser", **values, **change})[name]
        assert "which has no effect with autoencoders False; it has one with" in reason and "student true" in reason
    assert not idle_keys({"component": "denoiser", "student": False})


def test_what_a_method_fixes_is_not_held_against_a_user_who_left_it_alone() -> None:
    assert "sampling" not in idle_keys({"method": "dgr", "component": "denoiser"})
