"""What the data of one task are, and the checks of all that a user hands over as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import getattr_static
from typing import Any

import torch
from torch import Tensor

from growmix.data.arrays import as_tensor, is_array, shape_of
from growmix.data.arrays import like_given as like_given
from growmix.data.collecting import gather, is_pieces
from growmix.data.domain import Domain, Support
from growmix.data.domain import Shape as Shape
from growmix.data.examples import check_support, default_support, in_domain
from growmix.data.labels import Names, check_label_numbers, check_names
from growmix.data.labels import check_labels as check_labels
from growmix.data.labels import label_positions as label_positions
from growmix.errors import BadInput
from growmix.settings import MIN_EXAMPLES
from growmix.settings import UNLABELLED as UNLABELLED  # where it belongs for all that compute

MOST_PIXELS = 2**26
"""Most numbers of one example; no more could be read back, see :mod:`growmix.checkpoints.persistence`."""


@dataclass(frozen=True, eq=False)
class TaskData:
    """Examples and labels of one task, in memory; checked where a check made it.

    Attributes
    ----------
    x
        Examples, shape ``(n, *shape)``: images ``(n, channels, height, width)`` or vectors ``(n, numbers)``. With
        ``unit`` support ``uint8`` in 0..255 or ``float32`` in [0, 1], with ``real`` support ``float32``.
        Bytes stay bytes until a batch is gathered, which keeps a data set at a quarter of the memory.
    y
        Labels, ``int64``, shape ``(n,)``, -1 where unlabelled; ``None`` when there are none.
    target
        Images that ``x`` is to be translated to, as ``x`` but with channels of their own, shape
        ``(n, target channels, height, width)``; ``None`` when the data are no pairs.
    names
        Name of the label 0, 1, 2, ... where labels were given as strings; else empty.
    support
        Which numbers the examples may hold: ``"unit"`` in [0, 1], ``"real"`` any finite ones.
    """

    x: Tensor
    y: Tensor | None = None
    target: Tensor | None = None
    names: Names = ()
    support: Support = "unit"

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: Tensor | slice) -> TaskData:
        y, target = (None if part is None else part[index] for part in (self.y, self.target))
        return replace(self, x=self.x[index], y=y, target=target)

    @property
    def shape(self) -> Shape:
        """Axes of one example: three of an image, one of a vector."""
        return tuple(self.x.shape[1:])

    @property
    def target_shape(self) -> Shape | None:
        """Axes of one image to translate to; ``None`` when the data are no pairs."""
        return None if self.target is None else tuple(self.target.shape[1:])

    @property
    def domain(self) -> Domain:
        """Shape and support of the examples, without statistics."""
        return Domain(self.shape, self.support)

    def images(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return the examples of an index as ``float32``: pixels in [0, 1], or the numbers of vectors."""
        return as_float(self.x[index])

    def classes(self) -> tuple[int, ...]:
        """Return all labels that occur, ascending, without -1."""
        if self.y is None:
            return ()
        return tuple(label for label in torch.unique(self.y).tolist() if label != UNLABELLED)

    def compact(self) -> TaskData:
        """Return the same data with pixels as bytes, rounded: a quarter of the memory; real numbers stay as they are.

        Examples
        --------
        >>> TaskData(torch.tensor([[0.5, 1.0]])).compact().x
        tensor([[128, 255]], dtype=torch.uint8)
        """
        if self.support == "real":
            return self
        target = None if self.target is None else as_bytes(self.target)
        return replace(self, x=as_bytes(self.x), target=target)

    @property
    def nbytes(self) -> int:
        """Bytes that its examples take in memory, those of targets included."""
        return self.x.nbytes + (0 if self.target is None else self.target.nbytes)

    def numbered_after(self, known: Names) -> TaskData:
        """Return the same data with known names under their known numbers; new names get the numbers after them.

        Examples
        --------
        >>> task = check_task(([[0.5], [2.0], [3.5], [1.0]], ["dog", "cat", "dog", None]))
        >>> task.names, task.y.tolist()
        (('dog', 'cat'), [0, 1, 0, -1])
        >>> again = task.numbered_after(("cow", "cat"))
        >>> again.names, again.y.tolist()
        (('cow', 'cat', 'dog'), [2, 1, 2, -1])
        """
        if not self.names or self.y is None:
            return self
        place = {name: number for number, name in enumerate(known)}
        for label in self.classes():
            place.setdefault(self.names[label], len(place))
        numbers = [place.get(name, UNLABELLED) for name in self.names]
        return replace(self, y=torch.tensor([*numbers, UNLABELLED])[self.y], names=tuple(place))


def as_float(x: Tensor) -> Tensor:
    """Return examples as ``float32``: bytes are divided by 255, floats are left alone."""
    return x.float().div_(255.0) if x.dtype == torch.uint8 else x


def as_bytes(x: Tensor) -> Tensor:
    """Return numbers in [0, 1] as bytes, rounded; bytes stay as they are."""
    return x if x.dtype == torch.uint8 else (x * 255.0).round_().to(torch.uint8)


def check_task(data: Any, like: Domain | None = None, support: Support | None = None) -> TaskData:
    """Bring what a user hands to ``learn`` into one form, or say what is wrong with it.

    Parameters
    ----------
    data
        Examples alone, or a pair ``(x, y)`` of examples and labels, as arrays: numpy (any layout, ``float16`` to
        ``float64``, whole numbers, memory maps), tensors of any device, lists, tables such as those of pandas. Or
        pieces of these: a torch ``Dataset`` or ``IterableDataset`` of examples, a ``DataLoader`` or any other
        iterable of batches, each examples, a pair, or a dictionary (see :func:`growmix.data.collecting.gather`). Or a
        :class:`TaskData`. Where the second of a pair has three or more axes, it is the images that the first are
        to be translated to.
    like
        The domain learnt, whose shape and support the examples must have; ``None`` takes any.
    support
        Which numbers are allowed where ``like`` does not say: ``"unit"`` numbers in [0, 1] or bytes, ``"real"`` any
        finite ones. By default ``unit`` for images, ``real`` for vectors, and its own for a :class:`TaskData`.

    Returns
    -------
    TaskData
        At least four examples, not all alike. Labels that are strings are numbered in the order in which they appear.

    Raises
    ------
    BadInput
        The examples are neither images nor vectors, unlike ``like``, not finite, out of range, too few, all alike, or
        too many for the memory; the labels are of another length, neither whole numbers from -1 on nor strings, or
        given twice; a pair has images of unlike size; names are not different. An exception that a data set or loader
        raised is the cause of a BadInput that says at which piece.

    Examples
    --------
    >>> vectors = torch.arange(12.0).reshape(6, 2)
    >>> task = check_task((vectors, [0, 0, 1, 1, -1, 0]))
    >>> task.shape, task.support, task.classes()
    ((2,), 'real', (0, 1))
    >>> check_task(vectors.reshape(6, 1, 2, 1) / 12).domain
    Domain(shape=(1, 2, 1), support='unit', centre=(), scale=())
    """
    task = check_data(data, like, support)
    n = len(task)
    if n < MIN_EXAMPLES:
        examples = "1 example" if n == 1 else f"{n} examples"
        raise BadInput(f"data has {examples}; learning needs at least {MIN_EXAMPLES}")
    if bool((task.x == task.x[:1]).all()):
        raise BadInput(f"all {n} examples in data are alike; there is nothing to learn from one example")
    return task


def check_data(data: Any, like: Domain | None = None, support: Support | None = None) -> TaskData:
    """Check data that are only looked at, such as test data: one example may be all, and all may be alike.

    Parameters and result are those of :func:`check_task`.

    Raises
    ------
    BadInput
        The data are wrong for :func:`check_task`, for another reason than being too few or all alike.
    """
    x, y, target, names = _parts(data, like)
    examples, found = _checked(x, like, support, "x")
    n = examples.shape[0]
    if examples[0].numel() > MOST_PIXELS:
        raise BadInput(f"data has examples of {examples[0].numel():,} numbers; allowed are up to {MOST_PIXELS:,}")
    if target is not None:
        if y is not None:
            raise BadInput("data has labels and targets; pairs of images are learnt without labels: leave y out")
        return TaskData(examples, target=check_targets(target, examples, found), support=found)
    if y is None:
        return TaskData(examples, support=found)
    names = check_names(names)
    if names:
        return TaskData(examples, check_label_numbers(y, n, len(names)), None, names, found)
    labels, names = check_labels(y, n)
    return TaskData(examples, labels, None, names, found)


def check_targets(target: Any, source: Tensor, support: Support = "unit") -> Tensor:
    """Check the images that other images are to be translated to.

    Parameters
    ----------
    target
        Images as :func:`check_examples` takes them.
    source
        The checked images that are to be translated.
    support
        The support of the sources, which must be ``unit``.

    Raises
    ------
    BadInput
        The sources or targets are no images of pixels in [0, 1], or they are not as many, or of unlike height or width.

    Examples
    --------
    >>> check_targets(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """
    if source.ndim != 4 or support != "unit":
        kind = "vectors" if source.ndim == 2 else f"images of {support} support"
        raise BadInput(f"the pairs have sources that are {kind}; only images with pixels in [0, 1] are translated")
    images = check_examples(target, support="unit", name="target")
    if images.ndim != 4:
        raise BadInput(f"target has shape {tuple(images.shape)}; targets are (n, channels, height, width)")
    if len(images) != len(source):
        raise BadInput(f"the pairs have {len(source)} sources and {len(images)} targets; one each is needed")
    if images.shape[2:] != source.shape[2:]:
        sizes = (f"{height}x{width}" for height, width in (source.shape[2:], images.shape[2:]))
        raise BadInput(
            f"the pairs have sources and targets of unlike size ({', '.join(sizes)}); bring both to one size"
        )
    return images


def check_examples(x: Any, like: Domain | None = None, support: Support | None = None, name: str = "x") -> Tensor:
    """Return examples as one tensor: images ``(n, channels, height, width)`` or vectors ``(n, numbers)``.

    Parameters
    ----------
    x
        Examples as :func:`check_task` takes them, in one array or in pieces; labels that come with pieces are left
        alone. With unit support floats in [0, 1] or bytes in 0..255 (integers of another width count as bytes), with
        real support any finite numbers.
    like
        The domain learnt, whose shape and support the examples must have; ``None`` takes any.
    support
        Which numbers are allowed where ``like`` does not say; by default ``unit`` for images, ``real`` for vectors.
    name
        What messages call the examples.

    Returns
    -------
    Tensor
        ``uint8`` or ``float32`` in [0, 1] with unit support, ``float32`` with real support.

    Raises
    ------
    BadInput
        See the message: it names the argument, what was given, what is allowed, and what to do.

    Examples
    --------
    >>> check_examples([[0, 300], [7, -1]])
    tensor([[  0., 300.],
            [  7.,  -1.]])
    >>> check_examples([[0, 300], [7, -1]], Domain((1, 1, 2)))
    Traceback (most recent call last):
    growmix.errors.BadInput: x has 2 vectors of 2 numbers, but images of shape (1, 1, 2) were learnt; reshape them ...
    """
    return _checked(x, like, support, name)[0]


def _checked(x: Any, like: Domain | None, support: Support | None, name: str) -> tuple[Tensor, Support]:
    """Return checked examples, and the support that they have."""
    wanted = check_support(support) if like is None else like.support
    tensor = read_examples(x, like, name)
    if isinstance(x, TaskData):
        own = check_support(x.support)
        wanted = wanted or own
        if own == "unit" != wanted:  # its bytes are pixels, not numbers up to 255
            tensor = as_float(in_domain(tensor, None, own, name))
    examples = in_domain(tensor, like, wanted, name)
    return examples, wanted or default_support(tuple(examples.shape[1:]))


def read_examples(x: Any, like: Domain | None = None, name: str = "x") -> Tensor:
    """Return what :func:`check_examples` takes as one tensor, before it is checked."""
    if isinstance(x, TaskData):
        return as_tensor(x.x, name)
    return gather(x, name, like, seconds=False)[0] if is_pieces(x) else as_tensor(x, name)


def _parts(data: Any, like: Domain | None) -> tuple[Any, Any, Any, Names]:
    """Return examples, labels and targets, the last two ``None`` where there are none, and names of numbered labels."""
    if isinstance(data, TaskData):
        return data, data.y, data.target, data.names
    if is_pieces(data):
        x, second = gather(data, "data", like)
    elif isinstance(data, tuple) and len(data) == 2:
        x, second = data
        if is_pieces(x) or isinstance(x, TaskData):
            x, *own, _ = _parts(x, like)
            if any(part is not None for part in own):
                what = "labels" if own[1] is None else "targets"
                beside = "None" if second is None else "y"
                raise BadInput(
                    f"data is a pair of x and {beside}, but x has {what} of its own; give x alone, or without them"
                )
    elif is_array(data):
        x, second = data, None
    else:
        raise BadInput(
            f"data is a {type(data).__name__}; allowed are x, a pair (x, y), a torch Dataset, a DataLoader and an "
            f"iterable of batches{'; give its train' if getattr_static(data, 'train', None) else ''}"
        )
    if len(shape_of(second, "y")) >= 3:
        return x, None, second, ()
    return x, second, None, ()
