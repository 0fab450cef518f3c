"""Estimators by scikit-learn's contract: a classifier and a detector of outliers that learn batch after batch.

Both hold a :class:`growmix.GrowingMixture`, which decides for every batch whether it is new, and forgets none. Examples
are rows of a table, features of a frozen network, or pictures flattened to rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from growmix.errors import BadInput, shown
from growmix.learning.mixture import GrowingMixture
from growmix.settings import MIN_EXAMPLES, Settings

OUTLYING = 0.01
"""Probability with which a known example may be called an outlier where ``contamination`` is "auto"."""


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: a mixture that is made from parameters, and examples that are rows."""

    def __init__(
        self,
        component: str | None = None,
        *,
        covariance_type: str = "tied",
        shrinkage: float | None = None,
        reg_covar: float = 1e-6,
        threshold: float | None = None,
        image_shape: tuple[int, int, int] | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.component = component
        self.covariance_type = covariance_type
        self.shrinkage = shrinkage
        self.reg_covar = reg_covar
        self.threshold = threshold
        self.image_shape = image_shape
        self.settings = settings
        self.random_state = random_state

    def _new_mixture(self, **changes: Any) -> GrowingMixture:
        settings = {} if self.settings is None else self.settings
        if not isinstance(settings, Mapping):
            raise BadInput(f"settings is {shown(settings)}; allowed is a dictionary of growmix's settings by name")
        own: dict[str, Any] = {
            "component": self.component or ("vae" if self.image_shape else "gaussian"),
            "covariance_type": self.covariance_type,
            "shrinkage": self.shrinkage,
            "reg_covar": self.reg_covar,
            "threshold": self.threshold,
            "seed": int(check_random_state(self.random_state).randint(2**31)),
        }
        twice = sorted(own.keys() & settings.keys())
        if twice:
            raise BadInput(f"settings has {twice[0]!r}, which is a parameter of this estimator; give it there")
        if fixed := sorted(changes.keys() & settings.keys()):
            raise BadInput(f"settings has {fixed[0]!r}, which this estimator decides itself; leave it out")
        default = Settings().to_dict()
        given = {name: value for name, value in own.items() if value != default[name] or name == "component"}
        return GrowingMixture(**given, **settings, **changes)

    def _rows(self, X: Any, *args: Any, reset: bool, **checks: Any) -> Any:
        return validate_data(self, X, *args, reset=reset, dtype="numeric", **checks)

    def _examples(self, X: np.ndarray) -> np.ndarray:
        """Return checked rows in the shape that the mixture learns them in."""
        if self.image_shape is None:
            return X
        shape = tuple(self.image_shape)
        if math.prod(shape) != X.shape[1]:
            raise BadInput(f"image_shape is {shape}, {math.prod(shape)} numbers, but X has rows of {X.shape[1]}")
        return X.reshape(len(X), *shape)


class GrowingMixtureClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Classifier that gains classes from batch to batch without forgetting the earlier ones.

    Parameters
    ----------
    component
        Kind of component, see :class:`growmix.Settings`; ``None`` takes ``gaussian`` for vectors, which learns in
        closed form, and ``vae`` for pictures.
    covariance_type
        Covariance of Gaussian components: ``"tied"``, ``"full"``, ``"low-rank"``, ``"diag"`` or ``"auto"``.
    shrinkage
        Share of the mean variance in these, from 0 to 1; ``None`` chooses it by held-out likelihood.
    reg_covar
        Number added to every variance, in units of the first batch's.
    threshold
        Novelty from which on a batch gets a component of its own; ``None`` takes that of the measure.
    image_shape
        Axes of the pictures that rows are, such as ``(1, 28, 28)``; ``None`` where rows are vectors.
    settings
        Further settings of :class:`growmix.GrowingMixture` by name.
    random_state
        Seed of everything random, as scikit-learn takes it.

    Attributes
    ----------
    classes_ : array
        All classes learnt so far, ascending.
    mixture_ : GrowingMixture
        The mixture that answers; its labels are the places of the classes in the order in which they were met.
    n_features_in_ : int
        Number of columns.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> classifier = GrowingMixtureClassifier(random_state=0)
    >>> for label in (0, 1, 2):
    ...     _ = classifier.partial_fit(X[y == label], y[y == label])
    >>> classifier.classes_, bool(classifier.score(X, y) > 0.95)
    (array([0, 1, 2]), True)
    """

    classes_: np.ndarray
    mixture_: GrowingMixture
    _met: list[Any]  # classes in the order in which they were met

    def fit(self, X: Any, y: Any) -> GrowingMixtureClassifier:
        """Learn a batch, and forget whatever was learnt before.

        Parameters
        ----------
        X
            Examples, shape ``(n, columns)``; at least four.
        y
            Label of each, numbers or strings, shape ``(n,)``.
        """
        return self._learn(X, y, first=True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> GrowingMixtureClassifier:
        """Learn one more batch, whose classes may be new.

        Parameters
        ----------
        X, y
            Examples and labels, see :meth:`fit`.
        classes
            Not needed and not looked at: classes are welcome whenever they come.
        """
        return self._learn(X, y, first=not hasattr(self, "mixture_"))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each example, shape ``(n,)``."""
        best = self.predict_proba(X).argmax(1)
        predicted: np.ndarray = self.classes_[best]
        return predicted

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities, shape ``(n, classes)``, columns in the order of ``classes_``."""
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        order = [self._met.index(label) for label in self.classes_.tolist()]
        proba: np.ndarray = self.mixture_.predict_proba(self._examples(X), classes=order).astype(np.float64)
        proba /= proba.sum(1, keepdims=True)
        return proba

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            log_proba: np.ndarray = np.log(self.predict_proba(X))
        return log_proba

    def decision_function(self, X: Any) -> np.ndarray:
        """Return log-probabilities ``(n, classes)``; of two classes their difference ``(n,)``, above 0 for the second.

        A probability too small for single precision counts as the smallest that is not.
        """
        smallest = np.finfo(np.float32).smallest_subnormal
        log_proba: np.ndarray = np.log(np.maximum(self.predict_proba(X), smallest))
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def _learn(self, X: Any, y: Any, *, first: bool) -> GrowingMixtureClassifier:
        X, y = self._rows(X, y, reset=first, ensure_min_samples=MIN_EXAMPLES)
        check_classification_targets(y)
        classes = unique_labels(y) if first else unique_labels(y, self.classes_)
        mixture = self._new_mixture(supervised=True) if first else self.mixture_
        met = [] if first else list(self._met)
        met += [label for label in unique_labels(y).tolist() if label not in met]
        numbers = np.array([met.index(label) for label in y.tolist()], dtype=np.int64)
        mixture.learn((self._examples(X), numbers))
        self.mixture_, self.classes_, self._met = mixture, classes, met
        return self


class GrowingMixtureDetector(OutlierMixin, _Estimator):  # type: ignore[misc]
    """Detector of outliers that learns what is normal from batch to batch, by its density.

    Parameters
    ----------
    component, covariance_type, shrinkage, reg_covar, threshold, image_shape, settings, random_state
        Parameters of :class:`GrowingMixtureClassifier`, which has the same.
    contamination
        Share of normal examples that are called outliers, in (0, 0.5]; ``"auto"`` is 0.01. After ``fit`` it is that
        share of the examples learnt; after ``partial_fit`` of the examples that were held out of every batch.

    Attributes
    ----------
    offset_ : float
        Score below which an example is an outlier, nats.
    mixture_ : GrowingMixture
        The mixture that answers.
    n_features_in_ : int
        Number of columns.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 3))
    >>> detector = GrowingMixtureDetector(random_state=0).fit(X)
    >>> detector.partial_fit(X + 50.0).predict([[0.0, 0.0, 0.0], [50.0, 50.0, 50.0], [25.0, 25.0, 25.0]])
    array([ 1,  1, -1])
    """

    mixture_: GrowingMixture
    offset_: float

    def __init__(
        self,
        component: str | None = None,
        *,
        contamination: float | str = "auto",
        covariance_type: str = "tied",
        shrinkage: float | None = None,
        reg_covar: float = 1e-6,
        threshold: float | None = None,
        image_shape: tuple[int, int, int] | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            component,
            covariance_type=covariance_type,
            shrinkage=shrinkage,
            reg_covar=reg_covar,
            threshold=threshold,
            image_shape=image_shape,
            settings=settings,
            random_state=random_state,
        )
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> GrowingMixtureDetector:
        """Learn what is normal, and forget whatever was learnt before.

        Parameters
        ----------
        X
            Examples, shape ``(n, columns)``; at least four.
        y
            Not looked at.
        """
        share = self._share()
        X = self._rows(X, reset=True, ensure_min_samples=MIN_EXAMPLES)
        mixture = self._new_mixture(supervised=False)
        mixture.learn(self._examples(X))
        self.mixture_ = mixture
        self.offset_ = float(np.quantile(self._scores(X), share))
        return self

    def partial_fit(self, X: Any, y: Any = None) -> GrowingMixtureDetector:
        """Learn one more batch of what is normal; parameters as those of :meth:`fit`."""
        share, first = self._share(), not hasattr(self, "mixture_")
        X = self._rows(X, reset=first, ensure_min_samples=MIN_EXAMPLES)
        mixture = self._new_mixture(supervised=False) if first else self.mixture_
        mixture.learn(self._examples(X))
        self.mixture_ = mixture
        self.offset_ = _held_out_quantile(mixture, share)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each example, or a lower bound of it, nats, shape ``(n,)``."""
        check_is_fitted(self)
        return self._scores(self._rows(X, reset=False))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how many nats each example lies above the offset; below 0 it is an outlier."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for what is normal and -1 for outliers, shape ``(n,)``."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _scores(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.mixture_.score_samples(self._examples(X)), dtype=np.float64)

    def _share(self) -> float:
        share = OUTLYING if isinstance(self.contamination, str) else self.contamination
        named = isinstance(self.contamination, str) and self.contamination != "auto"
        if named or not isinstance(share, (int, float)) or not 0 < share <= 0.5:
            raise BadInput(f"contamination is {shown(self.contamination)}; allowed are 'auto' and numbers in (0, 0.5]")
        return share


def _held_out_quantile(mixture: GrowingMixture, share: float) -> float:
    """Return the score that so many of the examples that were held out of all batches lie below, nats."""
    scores, weights = [], []
    for record, log_share in zip(mixture.records, mixture.log_prior.tolist(), strict=True):
        for reference in record.references:
            elbo = reference.statistics["elbo"]
            # an example scores about as much under the mixture as under its component, with the component's share
            scores.append(np.array(elbo.quantiles) + log_share)
            weights.append(np.full(len(elbo.quantiles), elbo.count / len(elbo.quantiles)))
    together, weight = np.concatenate(scores), np.concatenate(weights)
    order = together.argsort()
    below = weight[order].cumsum() / weight.sum()
    return float(together[order][np.searchsorted(below, share)])
