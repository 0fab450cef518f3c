"""Estimators keep scikit-learn's contract, and learn classes and batches one after another."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from growmix import BadInput
from growmix.sklearn import GrowingMixtureClassifier, GrowingMixtureDetector

WINE, GROWER = load_wine(return_X_y=True)


@parametrize_with_checks([GrowingMixtureClassifier(), GrowingMixtureDetector()])
def test_scikit_learns_contract_is_kept(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def wine_of(*labels: int) -> tuple[np.ndarray, np.ndarray]:
    own = np.isin(GROWER, labels)
    return WINE[own], GROWER[own]


def test_classes_come_when_they_come() -> None:
    classifier = GrowingMixtureClassifier(random_state=0).fit(*wine_of(1, 2))
    assert classifier.classes_.tolist() == [1, 2]
    before = classifier.predict_proba(WINE)
    classifier.partial_fit(*wine_of(0))
    assert classifier.classes_.tolist() == [0, 1, 2]  # ascending, though 0 was met last
    after = classifier.predict_proba(WINE)
    assert before.shape == (178, 2) and after.shape == (178, 3)
    assert classifier.score(WINE, GROWER) > 0.95
    assert classifier.fit(*wine_of(0, 1)).classes_.tolist() == [0, 1]  # fit forgets


def test_any_labels_that_scikit_learn_takes_are_classes() -> None:
    for labels in (np.array([-1, 1, 5]), np.array(["b", "a", "c"]), np.array(["b", "a", "c"], dtype=object)):
        classifier = GrowingMixtureClassifier(random_state=0)
        for label in (2, 0, 1):
            x, y = wine_of(label)
            classifier.partial_fit(x, labels[y])
        assert classifier.classes_.tolist() == sorted(labels.tolist())
        assert (classifier.predict(WINE) == labels[GROWER]).mean() > 0.95


def test_a_pipeline_a_search_a_copy_and_a_pickle_work() -> None:
    pipeline = make_pipeline(StandardScaler(), GrowingMixtureClassifier(random_state=0))
    name = "growingmixtureclassifier__shrinkage"
    search = GridSearchCV(pipeline, {name: [0.0, 1.0]}, cv=3).fit(WINE, GROWER)
    assert search.best_score_ > 0.95 and search.best_params_ == {name: 0.0}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert np.array_equal(again.predict_proba(WINE), search.predict_proba(WINE))
    assert clone(search.best_estimator_).get_params()[name] == 0.0


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_tables_go_through_a_pipeline(output: str) -> None:
    pytest.importorskip("pandas")
    x, y = load_wine(return_X_y=True, as_frame=True)
    with config_context(transform_output=output):
        pipeline = make_pipeline(StandardScaler(), GrowingMixtureClassifier(random_state=0)).fit(x, y)
        assert pipeline.score(x, y) > 0.95
    named = getattr(pipeline[-1], "feature_names_in_", None)
    assert (named is not None) == (output == "pandas")


def test_pictures_are_rows_with_a_shape() -> None:
    x, y = load_digits(return_X_y=True)
    own = y < 2
    classifier = GrowingMixtureClassifier(
        "gaussian", image_shape=(1, 8, 8), covariance_type="full", shrinkage=0.1, random_state=0
    ).fit(x[own] / 16.0, y[own])
    assert classifier.mixture_.shape == (1, 8, 8)
    assert classifier.score(x[own] / 16.0, y[own]) > 0.98
    with pytest.raises(BadInput, match=r"image_shape is \(1, 4, 4\), 16 numbers, but X has rows of 64"):
        clone(classifier).set_params(image_shape=(1, 4, 4)).fit(x[own] / 16.0, y[own])


@pytest.mark.slow
def test_networks_can_take_the_place_of_gaussians() -> None:
    settings = {"hidden": 32, "latent": 4, "epochs": 30}
    classifier = GrowingMixtureClassifier("vae", settings=settings, random_state=0).fit(WINE, GROWER)
    assert classifier.score(WINE, GROWER) > 0.9


def test_a_batch_that_is_refused_changes_nothing() -> None:
    classifier = GrowingMixtureClassifier(random_state=0).fit(*wine_of(0, 1))
    before = classifier.predict_proba(WINE)
    x, y = wine_of(2)
    for bad in ((x[:3], y[:3]), (np.where(x > 5, np.nan, x), y), (x[:, :4], y), (x, y.astype(float) + 0.5)):
        with pytest.raises(ValueError):
            classifier.partial_fit(*bad)
        assert classifier.classes_.tolist() == [0, 1]
        assert np.array_equal(classifier.predict_proba(WINE), before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"covariance_type": "round"}, "covariance_type is 'round'; allowed is"),
        ({"settings": {"seed": 3}}, "settings has 'seed', which is a parameter of this estimator"),
        ({"settings": {"supervised": None}}, "settings has 'supervised', which this estimator decides itself"),
        ({"settings": 3}, "settings is 3; allowed is a dictionary"),
        ({"settings": {"epochs": 3}}, "epochs is 3, which has no effect with component 'gaussian'"),
        ({"component": "vae", "shrinkage": 0.1}, "shrinkage is 0.1, which has no effect with component 'vae'"),
        ({"shrinkage": 2.0}, "shrinkage is 2.0; allowed is"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_in_words(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        GrowingMixtureClassifier(**parameters).fit(WINE, GROWER)  # type: ignore[arg-type]


@pytest.mark.parametrize("contamination", [0.0, 0.6, "some", None])
def test_a_contamination_that_can_not_be_is_refused(contamination: object) -> None:
    with pytest.raises(BadInput, match="allowed are 'auto' and numbers in"):
        GrowingMixtureDetector(contamination=contamination).fit(WINE)  # type: ignore[arg-type]


def test_a_detector_learns_what_is_normal_batch_after_batch() -> None:
    rng = np.random.default_rng(0)
    one, other, between = (rng.normal(middle, 1.0, size=(2_000, 5)) for middle in (0.0, 30.0, 15.0))
    detector = GrowingMixtureDetector(contamination=0.05, random_state=0).fit(one[:1_000])
    assert (detector.predict(one[:1_000]) == -1).mean() == pytest.approx(0.05, abs=0.005)
    assert (detector.predict(other) == -1).all()
    detector.partial_fit(other[:1_000])
    assert (detector.predict(between) == -1).all()
    for fresh in (one[1_000:], other[1_000:]):
        assert (detector.predict(fresh) == -1).mean() == pytest.approx(0.05, abs=0.04)
    assert np.allclose(detector.decision_function(one), detector.score_samples(one) - detector.offset_)
