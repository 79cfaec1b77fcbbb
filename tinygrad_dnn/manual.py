"""The chapter's L-layer network with every gradient derived by hand, in NumPy alone.

It shares nothing with the rest of the package: where the two agree, the same was computed twice, independently.
Layout (Chapter, sections 1 and 2): an example is a column, so X is (n0, m), and for layers l = 1..L

    Z[l] = W[l] A[l-1] + b[l]      A[l] = g[l](Z[l])          A[0] = X
    W[l] (n[l], n[l-1])            b[l] (n[l], 1)             Z[l], A[l] (n[l], m)

The factor 1/m stands in dW and db; dZ and dA carry none.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["DeepNeuralNetwork", "GradientCheck", "LayerDimensions", "count_parameters", "layer_dimensions"]

Array: TypeAlias = NDArray[np.floating]


def sigmoid(Z: Array) -> Array:
    """1 / (1 + e^-Z), from e^-|Z| so that it never overflows."""
    E = np.exp(-np.abs(Z))
    A: Array = np.where(Z >= 0, 1, E) / (1 + E)
    return A


def softmax(Z: Array) -> Array:
    """e^Z over its sum down each column, shifted by the column's maximum so that it never overflows."""
    E = np.exp(Z - Z.max(axis=0, keepdims=True))
    A: Array = E / E.sum(axis=0, keepdims=True)
    return A


# name: (g(Z), g'(Z) given Z and A = g(Z)); relu'(0) = 0
HIDDEN: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], NDArray[np.floating | np.bool]]]] = {
    "relu": (lambda Z: np.maximum(Z, 0), lambda Z, A: Z > 0),
    "tanh": (np.tanh, lambda Z, A: 1 - A**2),
    "sigmoid": (sigmoid, lambda Z, A: A * (1 - A)),
}
OUTPUT: dict[str, Callable[[Array], Array]] = {"sigmoid": sigmoid, "softmax": softmax}
INITIALISATIONS = ("he", "xavier", "uniform")


class LayerDimensions(NamedTuple):
    """The shapes of one layer's arrays; dW, db, dZ and dA have the shapes of W, b, Z and A."""

    layer: int
    activation: str
    W: tuple[int, int]
    b: tuple[int, int]
    A: tuple[int, int]
    parameters: int


def layer_dimensions(layers: Sequence[int], m: int, activation: str | Sequence[str] = "relu") -> list[LayerDimensions]:
    """Shapes and parameter counts of every layer, n[l] (n[l-1] + 1) each, without allocating the network.

    Parameters
    ----------
    layers : sequence of L + 1 ints >= 1
        Units of every layer, the inputs n0 first.
    m : int >= 1
        Number of examples.
    activation : {"relu", "tanh", "sigmoid"} or one for each of the L - 1 hidden layers, default "relu"

    Returns
    -------
    list of L LayerDimensions

    Raises
    ------
    TypeError, ValueError
        If a layer size, `m` or an activation is not one of the above.

    References
    ----------
    Chapter, section 4, experiments 1 and 3.

    Examples
    --------
    >>> layer_dimensions([784, 128, 10], m=256)[1]
    LayerDimensions(layer=2, activation='softmax', W=(10, 128), b=(10, 1), A=(10, 256), parameters=1290)
    """
    sizes = _layer_sizes(layers)
    m = _count("m", m, least=1)
    pairs = zip(pairwise(sizes), _activations(sizes, activation), strict=True)
    return [
        LayerDimensions(i, g, (n, n_in), (n, 1), (n, m), n * n_in + n)
        for i, ((n_in, n), g) in enumerate(pairs, start=1)
    ]


def count_parameters(layers: Sequence[int]) -> int:
    """Weights and biases of a network with these layers, sum over l of n[l] (n[l-1] + 1), without allocating it.

    Parameters
    ----------
    layers : sequence of L + 1 ints >= 1
        Units of every layer, the inputs n0 first.

    Raises
    ------
    TypeError, ValueError
        If a layer size is not a positive integer or there are fewer than two.

    References
    ----------
    Chapter, section 3.

    Examples
    --------
    >>> count_parameters([784, 128, 64, 32, 10])
    111146
    """
    return sum(row.parameters for row in layer_dimensions(layers, m=1))


@dataclass(frozen=True)
class GradientCheck:
    """Relative differences ``|g - ga| / (|g| + |ga|)`` of derived gradients g and central differences ga.

    Attributes
    ----------
    by_parameter : dict of float
        One relative difference for each of "W1", "b1", ... A parameter whose gradient is as small as the rounding of
        the differences (about 1e-9) has a large one without being wrong; `overall` is the chapter's measure.
    overall : float
        The relative difference of all gradients joined into one vector.

    Examples
    --------
    >>> GradientCheck({"W1": 2e-9, "b1": 3e-4}, overall=2e-4).verdict
    'bug'
    """

    by_parameter: dict[str, float]
    overall: float

    CORRECT = 1e-7
    BUG = 1e-5

    @property
    def verdict(self) -> str:
        """Return "correct" when `overall` is below 1e-7, "suspicious" up to 1e-5, "bug" above it or when it is NaN."""
        if self.overall < self.CORRECT:
            return "correct"
        return "suspicious" if self.overall <= self.BUG else "bug"

    @property
    def passed(self) -> bool:
        """Whether the verdict is "correct"."""
        return self.verdict == "correct"

    def __repr__(self) -> str:
        rows = [f"  {name:<8}{value:.2e}" for name, value in self.by_parameter.items()]
        return "\n".join(["GradientCheck: relative difference", *rows, f"  overall {self.overall:.2e}  {self.verdict}"])


class DeepNeuralNetwork:
    """L-layer network: hidden layers A = g(W A + b), then a sigmoid when n[L] = 1, else a softmax down each column.

    Parameters
    ----------
    layers : sequence of L + 1 ints >= 1
        Units of every layer, the inputs n0 first.
    activation : {"relu", "tanh", "sigmoid"} or one for each of the L - 1 hidden layers, default "relu"
    init : {"he", "xavier", "uniform"} or float >= 0, default "he"
        Weights from N(0, 2/n[l-1]), N(0, 1/n[l-1]), uniform [0, 1) or, for a number s, N(0, s^2). Biases are zero.
    l2 : float >= 0, default 0.0
        The strength lambda of the penalty lambda/(2m) sum |W[l]|_F^2; biases are not penalised.
    epsilon : float >= 0, default 1e-8
        Added inside the logarithms of the cost, as the chapter prints it. A saturated output then costs at most
        -log(1e-8) = 18.4, and a perfect one -1e-8. With 0 the cost is taken from Z[L]: exact and finite however
        saturated the output. The gradients are those of the exact cost in either case.
    seed : int, numpy Generator or None, default None
        Source of the weights, and later of the mini-batches. The float32 weights are the float64 ones, rounded.
    dtype : float64 or float32, default float64
        Of the parameters and of everything computed; X and Y are converted.

    Attributes
    ----------
    parameters : read-only mapping of {"W1": (n[1], n[0]), "b1": (n[1], 1), ...}
        The arrays are the network's own; `load_parameters` replaces their values.
    cache : dict of {"A0": X, "Z1": (n[1], m), "A1": (n[1], m), ...}
        What the last `forward` computed. A0 is X itself where its dtype is the network's.
    grads : dict of {"dZ1": (n[1], m), "dW1": (n[1], n[0]), "db1": (n[1], 1), "dA1": (n[1], m), ...}
        What the last `backward` computed; `update` subtracts its dW and db.

    Raises
    ------
    TypeError, ValueError
        If an argument is not one of the above.

    References
    ----------
    Chapter, sections 1 and 2.

    Examples
    --------
    >>> net = DeepNeuralNetwork([2, 4, 1], seed=0)
    >>> net
    DeepNeuralNetwork(2 -> 4 relu -> 1 sigmoid, 17 parameters)
    >>> X, Y = [[0, 0, 1, 1], [0, 1, 0, 1]], [[0, 1, 1, 0]]
    >>> costs = net.fit(X, Y, alpha=0.5, iterations=2000)
    >>> net.predict(X)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        layers: Sequence[int],
        activation: str | Sequence[str] = "relu",
        *,
        init: str | float = "he",
        l2: float = 0.0,
        epsilon: float = 1e-8,
        seed: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.layers = _layer_sizes(layers)
        self.activations = _activations(self.layers, activation)
        self.l2 = _non_negative("l2", l2)
        self.epsilon = _non_negative("epsilon", epsilon)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        if self.dtype not in (np.float64, np.float32):
            raise TypeError(f"dtype must be float64 or float32, got {self.dtype}")
        self.rng = np.random.default_rng(seed)
        self.cache: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        # False once the parameters have moved: the cache then belongs to other weights.
        self._cache_is_current = False
        self._parameters: dict[str, Array] = {}
        for i, (n_in, n) in enumerate(pairwise(self.layers), start=1):
            self._parameters[f"W{i}"] = _initial_weights(init, n, n_in, self.rng).astype(self.dtype)
            self._parameters[f"b{i}"] = np.zeros((n, 1), self.dtype)

    # The chapter's five steps -----------------------------------------------------------------------------------------

    def forward(self, X: ArrayLike) -> Array:
        """Return A[L], with Z[l] = W[l] A[l-1] + b[l] and A[l] = g[l](Z[l]); all of them stay in `cache`.

        Parameters
        ----------
        X : array (n0, m)
            One example a column, m >= 1.

        Returns
        -------
        array (n[L], m)

        Raises
        ------
        ValueError
            If X has another number of rows, no columns, or is not two-dimensional.

        References
        ----------
        Chapter, section 2.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 3, 1], seed=0)
        >>> net.forward(np.zeros((2, 5))).shape, list(net.cache)
        ((1, 5), ['A0', 'Z1', 'A1', 'Z2', 'A2'])
        """
        self.cache = self._propagate(self._inputs(X))
        self._cache_is_current = True
        return self.cache[f"A{len(self.activations)}"]

    def cost(self, Y: ArrayLike) -> float:
        """Return the cost J of the last forward pass, by the chapter's formula for the head plus the L2 penalty.

        Sigmoid: J = -(1/m) sum(Y log(A + eps) + (1 - Y) log(1 - A + eps)). Softmax: J = -(1/m) sum(Y log(A + eps)).

        Parameters
        ----------
        Y : array (n[L], m)
            Zeros and ones; one-hot columns for the softmax.

        Raises
        ------
        RuntimeError
            If no forward pass precedes, or the parameters have changed since.
        ValueError
            If Y has another shape than A[L] or is not one-hot.

        References
        ----------
        Chapter, section 2.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 3, 1], init=0.0)
        >>> _ = net.forward([[1.0], [0.5]])
        >>> round(net.cost([[1]]), 6)
        0.693147
        """
        self._require_current_cache("cost")
        Y = self._labels(Y)
        m = Y.shape[1]
        J = self._cross_entropy(Y) / m
        if self.l2:
            J += self.l2 / (2 * m) * sum(np.vdot(W, W) for W in self._weights())
        return float(J)

    def backward(self, Y: ArrayLike, *, long_way: bool = False, input_gradient: bool = False) -> dict[str, Array]:
        """Return every gradient of the last forward pass, l = L..1; they also stay in `grads`.

            dZ[L] = A[L] - Y                         dZ[l] = dA[l] * g'(Z[l])
            dW[l] = (1/m) dZ[l] A[l-1]^T + (lambda/m) W[l]
            db[l] = (1/m) rowsum(dZ[l])              dA[l-1] = W[l]^T dZ[l]

        Parameters
        ----------
        Y : array (n[L], m)
            Zeros and ones; one-hot columns for the softmax.
        long_way : bool, default False
            Derive dZ[L] from dA[L], which is then kept too: dA[L] = -Y/A + (1-Y)/(1-A), dZ[L] = dA[L] * A(1-A) for
            the sigmoid; dA[L] = -Y/A and the softmax's Jacobian for the softmax.
        input_gradient : bool, default False
            Keep dA[0] = W[1]^T dZ[1] too.

        Returns
        -------
        dict of arrays {"dZ1": (n[1], m), "dW1": (n[1], n[0]), "db1": (n[1], 1), "dA1": (n[1], m), ...}

        Raises
        ------
        RuntimeError
            If no forward pass precedes, or the parameters have changed since.
        ValueError
            If Y has another shape than A[L] or is not one-hot.
        FloatingPointError
            If the long way meets a label whose probability has rounded to 0, where dA[L] is infinite.

        References
        ----------
        Chapter, section 2.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 3, 1], seed=0)
        >>> _ = net.forward([[1.0], [0.5]])
        >>> list(net.backward([[1]]))
        ['dZ2', 'dW2', 'db2', 'dA1', 'dZ1', 'dW1', 'db1']
        """
        self._require_current_cache("backward")
        Y = self._labels(Y)
        L, m = len(self.activations), Y.shape[1]
        parameters, cache = self._parameters, self.cache
        grads: dict[str, Array] = {}
        if long_way:
            grads[f"dA{L}"], dZ = self._output_gradients(Y)
        else:
            dZ = cache[f"A{L}"] - Y
        for i in range(L, 0, -1):
            W = parameters[f"W{i}"]
            dW = dZ @ cache[f"A{i - 1}"].T / m
            if self.l2:
                dW += self.l2 / m * W
            grads[f"dZ{i}"] = dZ
            grads[f"dW{i}"] = dW
            grads[f"db{i}"] = dZ.sum(axis=1, keepdims=True) / m
            if i > 1:
                _, derivative = HIDDEN[self.activations[i - 2]]
                dA = grads[f"dA{i - 1}"] = W.T @ dZ
                dZ = dA * derivative(cache[f"Z{i - 1}"], cache[f"A{i - 1}"])
            elif input_gradient:
                grads["dA0"] = W.T @ dZ
        self.grads = grads
        return grads

    def update(self, alpha: float) -> None:
        """Take one step of gradient descent: W[l] -= alpha dW[l], b[l] -= alpha db[l].

        Parameters
        ----------
        alpha : float >= 0
            Learning rate.

        Raises
        ------
        RuntimeError
            If no backward pass precedes.
        ValueError
            If `alpha` is negative or not finite, or a gradient has another shape than its parameter, such as a db
            of shape (n,) that would broadcast b to (n, n). Nothing is changed then.

        References
        ----------
        Chapter, section 2; section 4, experiment 8.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 3, 1], seed=0)
        >>> _ = net.forward([[1.0], [0.5]]), net.backward([[1]])
        >>> net.update(0.1)
        """
        alpha = _learning_rate(alpha)
        if not self.grads:
            raise RuntimeError("update needs the gradients of a backward pass\nCall forward(X) and backward(Y) first.")
        self._check_gradient_shapes(self.grads)
        self._cache_is_current = False
        for name, P in self._parameters.items():
            P -= alpha * self.grads[f"d{name}"]

    def step(self, X: ArrayLike, Y: ArrayLike, alpha: float) -> float:
        """Forward, cost, backward and update on one batch; return the cost before the update.

        Parameters
        ----------
        X : array (n0, m)
        Y : array (n[L], m)
        alpha : float >= 0
            Learning rate.

        Raises
        ------
        ValueError
            As `forward`, `cost` and `update` do. The parameters are unchanged then.
        FloatingPointError
            If the cost is not finite. The parameters are unchanged then.

        References
        ----------
        Chapter, section 2.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 3, 1], init=0.0)
        >>> round(net.step([[1.0], [0.5]], [[1]], alpha=0.1), 6)
        0.693147
        """
        alpha = _learning_rate(alpha)
        self.forward(X)
        J = self.cost(Y)
        if not math.isfinite(J):
            raise FloatingPointError(
                f"the cost is {J}; the parameters are left as they were\n"
                "Look for inf or NaN in X, or use a smaller alpha or another init."
            )
        self.backward(Y)
        self.update(alpha)
        return J

    # Training and prediction ------------------------------------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        alpha: float = 0.01,
        iterations: int = 1000,
        batch_size: int | None = None,
        callback: Callable[[int, float], bool | None] | None = None,
        print_every: int = 0,
    ) -> list[float]:
        """Take `iterations` steps of gradient descent and return the cost before each.

        Parameters
        ----------
        X : array (n0, m)
        Y : array (n[L], m)
        alpha : float >= 0, default 0.01
            Learning rate.
        iterations : int >= 0, default 1000
            Number of updates.
        batch_size : int >= 1 or None, default None
            Examples in each update: all of them, or successive mini-batches of the examples shuffled anew every epoch
            (the last of an epoch takes what remains).
        callback : callable (iteration, cost) -> bool or None, optional
            Called after every update; a true value ends the training.
        print_every : int >= 0, default 0
            Print the cost every so many iterations; 0 prints nothing.

        Raises
        ------
        TypeError, ValueError
            If an argument is not one of the above or X is not finite. Nothing is changed then.
        FloatingPointError
            If the cost stops being finite; the parameters are those that gave that cost.

        References
        ----------
        Chapter, section 2; section 4, experiment 10.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 3, 1], seed=0)
        >>> costs = net.fit([[0.0, 1.0], [1.0, 0.0]], [[0, 1]], alpha=0.5, iterations=100)
        >>> len(costs), costs[-1] < costs[0]
        (100, True)
        """
        X = self._inputs(X)
        Y = self._labels(Y, m=X.shape[1])
        alpha = _learning_rate(alpha)
        iterations = _count("iterations", iterations)
        print_every = _count("print_every", print_every)
        size = X.shape[1] if batch_size is None else _count("batch_size", batch_size, least=1)
        if not np.isfinite(X).all():
            raise ValueError("X contains inf or NaN\nRemove or replace those examples before training.")
        costs: list[float] = []
        for i, (X_batch, Y_batch) in enumerate(islice(self._batches(X, Y, size), iterations)):
            J = self.step(X_batch, Y_batch, alpha)
            costs.append(J)
            if print_every and i % print_every == 0:
                print(f"iteration {i:6d}  cost {J:.6f}")
            if callback is not None and callback(i, J):
                break
        return costs

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the class of every example: A[L] > 1/2 for the sigmoid, the row of the largest A[L] for the softmax.

        Parameters
        ----------
        X : array (n0, m)

        Returns
        -------
        array (m,) of ints
            `cache` is left alone.

        Raises
        ------
        ValueError
            As `forward` does.

        References
        ----------
        Chapter, section 2.

        Examples
        --------
        >>> DeepNeuralNetwork([2, 3, 1], init=0.0).predict(np.ones((2, 4)))
        array([0, 0, 0, 0])
        """
        return self._classes(self._propagate(self._inputs(X))[f"A{len(self.activations)}"])

    def accuracy(self, X: ArrayLike, Y: ArrayLike) -> float:
        """Return the fraction of examples whose predicted class is their label's.

        Parameters
        ----------
        X : array (n0, m)
        Y : array (n[L], m)

        Returns
        -------
        float in [0, 1]

        Raises
        ------
        ValueError
            As `forward` and `cost` do.

        References
        ----------
        Chapter, section 3.

        Examples
        --------
        >>> DeepNeuralNetwork([2, 3, 1], init=0.0).accuracy(np.ones((2, 4)), [[0, 1, 1, 1]])
        0.25
        """
        X = self._inputs(X)
        Y = self._labels(Y, m=X.shape[1])
        return float(np.mean(self.predict(X) == self._classes(Y)))

    def gradient_check(self, X: ArrayLike, Y: ArrayLike, epsilon: float = 1e-7) -> GradientCheck:
        """Compare `backward` with central differences (J(p + eps) - J(p - eps)) / (2 eps) of every parameter p.

        It runs in double precision on a copy and leaves the network alone. J is the exact cost, for that is what
        the formulas differentiate: the epsilon in its logarithms is taken as 0.

        Parameters
        ----------
        X : array (n0, m)
        Y : array (n[L], m)
        epsilon : float > 0, default 1e-7
            Half the distance of the two points. It takes two forward passes a parameter.

        Returns
        -------
        GradientCheck

        Raises
        ------
        ValueError
            As `forward` and `cost` do, or if `epsilon` is not positive and finite.

        References
        ----------
        Chapter, section 4, experiment 4.

        Examples
        --------
        >>> X = np.random.default_rng(0).normal(size=(3, 5))
        >>> DeepNeuralNetwork([3, 2, 1], seed=0).gradient_check(X, [[1, 0, 1, 1, 0]]).verdict
        'correct'
        """
        if not 0 < epsilon < math.inf:
            raise ValueError(f"epsilon must be positive and finite, got {epsilon}")
        net = copy.copy(self)  # of the same class, so that an overridden backward is the one checked
        net.dtype = np.dtype(np.float64)
        net.epsilon = 0.0
        net._parameters = {name: P.astype(np.float64) for name, P in self._parameters.items()}

        def J() -> float:
            net.forward(X)
            return net.cost(Y)

        net.forward(X)
        grads = net.backward(Y)
        net._check_gradient_shapes(grads)
        derived = {name: grads[f"d{name}"] for name in net._parameters}
        numerical = {name: central_difference(J, P, epsilon) for name, P in net._parameters.items()}
        return GradientCheck(
            {name: relative_difference(g, numerical[name]) for name, g in derived.items()},
            relative_difference(_joined(derived), _joined(numerical)),
        )

    # Parameters and shapes --------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> MappingProxyType[str, Array]:
        """The arrays {"W1": (n[1], n[0]), "b1": (n[1], 1), ...} themselves, in a mapping that cannot be assigned to."""
        return MappingProxyType(self._parameters)

    @property
    def parameter_count(self) -> int:
        """Number of weights and biases, sum over l of n[l] (n[l-1] + 1)."""
        return sum(P.size for P in self._parameters.values())

    def load_parameters(self, parameters: Mapping[str, ArrayLike]) -> None:
        """Copy in a value for every parameter, {"W1": (n[1], n[0]), "b1": (n[1], 1), ...}.

        Parameters
        ----------
        parameters : mapping of arrays
            To change some only, write ``net.load_parameters(net.parameters | {"W1": ...})``.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape is not the network's, such as (n,) for a bias. Nothing is
            changed then.

        References
        ----------
        Chapter, section 1.

        Examples
        --------
        >>> net = DeepNeuralNetwork([2, 1])
        >>> net.load_parameters({"W1": [[0.3, 0.5]], "b1": [[0.0]]})
        >>> net.parameters["W1"]
        array([[0.3, 0.5]])
        """
        missing = [name for name in self._parameters if name not in parameters]
        unknown = [name for name in parameters if name not in self._parameters]
        if missing or unknown:
            raise ValueError(
                f"Missing key(s) in parameters: {missing}. Unexpected key(s): {unknown}\n"
                f"This network has {', '.join(self._parameters)}."
            )
        loaded = {name: np.array(parameters[name], dtype=self.dtype) for name in self._parameters}
        for name, P in self._parameters.items():
            if loaded[name].shape != P.shape:
                raise ValueError(
                    f"size mismatch for {name}: copying a param with shape {loaded[name].shape}, "
                    f"the shape in current model is {P.shape}\n"
                    "A weight is (n[l], n[l-1]), a bias a column (n[l], 1): use b.reshape(-1, 1)."
                )
        self._cache_is_current = False
        for name, P in self._parameters.items():
            P[...] = loaded[name]

    def dimensions(self, m: int) -> list[LayerDimensions]:
        """One row a layer with the shapes of W, b and A for m examples and the number of parameters.

        Parameters
        ----------
        m : int >= 1
            Number of examples.

        Raises
        ------
        TypeError, ValueError
            If `m` is not a positive integer.

        References
        ----------
        Chapter, section 4, experiment 1.

        Examples
        --------
        >>> [row.A for row in DeepNeuralNetwork([3, 2, 1]).dimensions(m=5)]
        [(2, 5), (1, 5)]
        """
        return layer_dimensions(self.layers, m, self.activations[:-1])

    def dimension_report(self, m: int) -> str:
        """Return `dimensions` as a table to print.

        Parameters
        ----------
        m : int >= 1
            Number of examples.

        Raises
        ------
        TypeError, ValueError
            If `m` is not a positive integer.

        References
        ----------
        Chapter, section 4, experiment 1.

        Examples
        --------
        >>> print(DeepNeuralNetwork([3, 2, 1]).dimension_report(m=5))
        layer  activation             W             b             A  parameters
            1  relu              (2, 3)        (2, 1)        (2, 5)           8
            2  sigmoid           (1, 2)        (1, 1)        (1, 5)           3
        total                                                                11
        """
        lines = [f"layer  activation {'W':>13} {'b':>13} {'A':>13}  parameters"]
        for row in self.dimensions(m):
            shapes = " ".join(f"{shape!s:>13}" for shape in (row.W, row.b, row.A))
            lines.append(f"{row.layer:>5}  {row.activation:<10} {shapes} {row.parameters:>11,}")
        lines.append(f"total {self.parameter_count:>65,}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        chain = " -> ".join(f"{n} {g}" for n, g in zip(self.layers[1:], self.activations, strict=True))
        options = f", l2={self.l2}" if self.l2 else ""
        options += f", {self.dtype}" if self.dtype != np.float64 else ""
        return f"{type(self).__name__}({self.layers[0]} -> {chain}{options}, {self.parameter_count:,} parameters)"

    # What the above are made of ---------------------------------------------------------------------------------------

    def _propagate(self, X: Array) -> dict[str, Array]:
        L = len(self.activations)
        cache = {"A0": X}
        A = X
        for i, activation in enumerate(self.activations, start=1):
            g = HIDDEN[activation][0] if i < L else OUTPUT[activation]
            Z = self._parameters[f"W{i}"] @ A + self._parameters[f"b{i}"]
            A = g(Z)
            cache[f"Z{i}"] = Z
            cache[f"A{i}"] = A
        return cache

    def _cross_entropy(self, Y: Array) -> float:
        """m J without the penalty; Y is checked."""
        A, Z = (self.cache[f"{name}{len(self.activations)}"] for name in "AZ")
        if self.epsilon == 0.0:
            return _exact_cross_entropy(Z, Y)
        if self.activations[-1] == "sigmoid":
            return float(-np.sum(Y * np.log(A + self.epsilon) + (1 - Y) * np.log(1 - A + self.epsilon)))
        return float(-np.sum(Y * np.log(A + self.epsilon)))

    def _output_gradients(self, Y: Array) -> tuple[Array, Array]:
        """dA[L], then dZ[L] from it through the derivative of the head."""
        A = self.cache[f"A{len(self.activations)}"]
        binary = self.activations[-1] == "sigmoid"
        # A label is 0 or 1, so one term of dA is 0 over something and the other divides by the label's probability P.
        P = np.where(Y == 1, A, 1 - A) if binary else np.sum(Y * A, axis=0, keepdims=True)
        if not P.all():
            raise FloatingPointError(
                "dA of the last layer is infinite: the probability of a label has rounded to 0\n"
                "Use backward(Y), whose dZ = A - Y does not divide by it."
            )
        if binary:
            dA = (1 - 2 * Y) / P  # -Y/A + (1-Y)/(1-A)
            return dA, dA * A * (1 - A)
        dA = -Y / P  # -Y/A
        return dA, A * (dA - np.sum(dA * A, axis=0, keepdims=True))

    def _batches(self, X: Array, Y: Array, batch_size: int) -> Iterator[tuple[Array, Array]]:
        m = X.shape[1]
        if batch_size >= m:
            while True:
                yield X, Y
        while True:
            order = self.rng.permutation(m)
            for start in range(0, m, batch_size):
                columns = order[start : start + batch_size]
                yield X[:, columns], Y[:, columns]

    def _classes(self, A: Array) -> NDArray[np.intp]:
        return np.asarray(A[0] > 0.5 if len(A) == 1 else A.argmax(axis=0), dtype=np.intp)

    def _weights(self) -> list[Array]:
        return [self._parameters[f"W{i}"] for i in range(1, len(self.layers))]

    def _inputs(self, X: ArrayLike) -> Array:
        X = np.asarray(X, dtype=self.dtype)
        n0 = self.layers[0]
        if X.ndim != 2:
            raise ValueError(f"X must be a 2D array (n0, m), got shape {X.shape}\nOne example is X.reshape({n0}, 1).")
        rows, m = X.shape
        if rows != n0:
            advice = "use X.T." if m == n0 else "an example is a column."
            raise ValueError(
                f"mat1 and mat2 shapes cannot be multiplied ({self.layers[1]}x{n0} and {rows}x{m})\n"
                f"W1 takes X of {n0} rows: {advice}"
            )
        if m == 0:
            raise ValueError(f"Expected at least one example, got an empty batch of shape {X.shape}\nGive X a column.")
        return X

    def _labels(self, Y: ArrayLike, m: int | None = None) -> Array:
        """Y as an array, refused unless one-hot with a column for each of the m examples (default: the cache's)."""
        Y = np.asarray(Y, dtype=self.dtype)
        expected = (self.layers[-1], self.cache["A0"].shape[1] if m is None else m)
        if Y.shape != expected:
            advice = "use Y.reshape(1, -1)." if expected[0] == 1 else "use one-hot columns, np.eye(classes)[:, labels]."
            raise ValueError(
                f"Using a target size {Y.shape} that is different to the input size {expected} is refused\n"
                f"Y is (n[L], m): {advice}"
            )
        zeros_and_ones = np.count_nonzero(Y == 0) + np.count_nonzero(Y == 1) == Y.size
        if not zeros_and_ones or (len(Y) > 1 and not (Y.sum(axis=0) == 1).all()):
            kind = "0 or 1" if len(Y) == 1 else "one-hot: a single 1 in every column, else 0"
            raise ValueError(f"labels must be {kind}\nFor class numbers use np.eye(classes)[:, labels].")
        return Y

    def _require_current_cache(self, method: str) -> None:
        if not self._cache_is_current:
            reason = "the parameters have changed since the last one" if self.cache else "there has been none"
            raise RuntimeError(f"{method} needs a forward pass, and {reason}\nCall forward(X) first.")

    def _check_gradient_shapes(self, grads: Mapping[str, Array]) -> None:
        for name, P in self._parameters.items():
            if grads[f"d{name}"].shape != P.shape:
                raise ValueError(
                    f"d{name} has shape {grads[f'd{name}'].shape} but {name} has shape {P.shape}\n"
                    "A gradient has the shape of what it differentiates: sum over the examples with keepdims=True."
                )


def _exact_cross_entropy(Z: Array, Y: Array) -> float:
    """Sum over the examples of -log(probability of the label), from the logits Z, where nothing rounds to log 0."""
    if len(Z) == 1:
        return float(np.sum(np.logaddexp(0, np.where(Y == 1, -Z, Z))))
    S = Z - Z.max(axis=0, keepdims=True)
    return float(np.sum(np.log(np.exp(S).sum(axis=0)) - np.sum(Y * S, axis=0)))


def central_difference(J: Callable[[], float], P: Array, epsilon: float) -> Array:
    """(J(p + eps) - J(p - eps)) / (2 eps) for every entry p of P, which J reads; P is left as it was."""
    g = np.empty_like(P)
    for index in np.ndindex(P.shape):
        p = P[index]
        P[index] = p + epsilon
        plus = J()
        P[index] = p - epsilon
        minus = J()
        P[index] = p
        g[index] = (plus - minus) / (2 * epsilon)
    return g


def relative_difference(g: Array, ga: Array) -> float:
    """``||g - ga|| / (||g|| + ||ga||)``, the chapter's measure; 0 if both are 0."""
    scale = float(np.linalg.norm(g) + np.linalg.norm(ga))
    return float(np.linalg.norm(g - ga)) / scale if scale else 0.0


def _joined(arrays: Mapping[str, Array]) -> Array:
    return np.concatenate([a.ravel() for a in arrays.values()])


def _initial_weights(init: str | float, n: int, n_in: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if init == "uniform":
        return rng.random((n, n_in))
    if init == "he":
        return rng.standard_normal((n, n_in)) * math.sqrt(2 / n_in)
    if init == "xavier":
        return rng.standard_normal((n, n_in)) * math.sqrt(1 / n_in)
    if isinstance(init, str):
        raise ValueError(f"init must be one of {', '.join(INITIALISATIONS)} or a number, got {init!r}")
    return rng.standard_normal((n, n_in)) * _non_negative("init", init)


def _layer_sizes(layers: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(_count("a layer size", n, least=1) for n in layers)
    if len(sizes) < 2:
        raise ValueError(f"layers must name the inputs and at least one layer, got {list(sizes)}")
    return sizes


def _activations(sizes: tuple[int, ...], activation: str | Sequence[str]) -> tuple[str, ...]:
    """The name of every layer's activation: the hidden ones as given, then the head that n[L] asks for."""
    hidden = len(sizes) - 2
    names = (activation,) if isinstance(activation, str) else tuple(activation)
    for name in names:
        if name not in HIDDEN:
            raise ValueError(f"activation must be one of {', '.join(HIDDEN)}, got {name!r}")
    if isinstance(activation, str):
        names *= hidden
    if len(names) != hidden:
        raise ValueError(f"activation must be one name or {hidden}, one a hidden layer, got {len(names)}")
    return (*names, "sigmoid" if sizes[-1] == 1 else "softmax")


def _count(name: str, value: int, least: int = 0) -> int:
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value


def _non_negative(name: str, value: float) -> float:
    value = float(value)
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")
    return value


def _learning_rate(alpha: float) -> float:
    alpha = float(alpha)
    if not 0 <= alpha < math.inf:
        raise ValueError(f"Invalid learning rate: {alpha}\nalpha is a finite number, not negative.")
    return alpha
