"""The small classifier gains classes by rows, which leave the others as they were."""

from __future__ import annotations

import pytest
import torch

from growmix.components.classifier import FEATURES, ConvClassifier
from growmix.data.domain import Shape


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 9, 11), (5, 1, 1)], ids=str)
def test_images_of_any_shape_are_described_and_told_apart(shape: Shape) -> None:
    generator = torch.Generator().manual_seed(0)
    classifier = ConvClassifier(shape, generator)
    x = torch.rand(4, *shape, generator=generator)
    assert classifier(x).shape == (4, FEATURES)
    assert classifier.logits(x).shape == (4, 0)
    classifier.add_classes(2, generator)
    two = classifier.logits(x)
    classifier.add_classes(1, generator)
    three = classifier.logits(x)
    assert three.shape == (4, 3) and not torch.equal(three[:, 2], three[:, 0])
    torch.testing.assert_close(three[:, :2], two, rtol=0, atol=1e-6)


def test_an_image_is_described_for_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    classifier = ConvClassifier((1, 8, 8), generator)
    x = torch.rand(6, 1, 8, 8, generator=generator)
    torch.testing.assert_close(classifier(x), torch.cat([classifier(one[None]) for one in x]), rtol=1e-4, atol=1e-5)
