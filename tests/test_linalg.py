"""Linear algebra beyond the laws of every op: singular matrices, large ones, shapes and errors."""

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import linalg
from tinygrad_dnn.nn import functional as F

RNG = np.random.default_rng(0)


def tensor(*shape: int) -> tg.Tensor:
    return tg.tensor(RNG.normal(size=shape), requires_grad=True)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_the_gradient_of_a_determinant_is_its_cofactors_whatever_the_rank(rank: int) -> None:
    a = tg.tensor(RNG.normal(size=(3, rank)) @ RNG.normal(size=(rank, 3)), requires_grad=True)
    tg.det(a).backward()
    minors = [[np.linalg.det(np.delete(np.delete(a.array, i, 0), j, 1)) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(a.grad.numpy(), np.array(minors) * [[1, -1, 1], [-1, 1, -1], [1, -1, 1]], atol=1e-12)


def test_the_logarithm_of_a_determinant_that_overflows() -> None:
    a = 100 * tg.eye(400)
    sign, size = linalg.slogdet(a)
    assert sign.item() == 1
    assert size.item() == pytest.approx(400 * np.log(100), rel=1e-6)
    assert tg.logdet(a).item() == size.item()
    assert tg.logdet(-tg.eye(3)).isnan()


@pytest.mark.parametrize("shapes", [((3, 3), (3,)), ((2, 3, 3), (2, 3)), ((2, 3, 3), (3,)), ((2, 1, 3, 3), (4, 3, 2))])
def test_right_sides_are_vectors_or_columns(shapes: tuple[tuple[int, ...], ...]) -> None:
    a, b = tensor(*shapes[0]), tensor(*shapes[1])
    x = linalg.solve(a, b)
    vectors = x.ndim < a.ndim
    product = (a @ x.unsqueeze(-1)).squeeze(-1) if vectors else a @ x
    np.testing.assert_allclose(product.detach().numpy(), np.broadcast_to(b.array, product.shape), atol=1e-10)
    assert tg.autograd.gradcheck(linalg.solve, (a, b))


def test_solutions_from_the_right() -> None:
    a, b = tensor(3, 3), tensor(2, 3)
    np.testing.assert_allclose((linalg.solve(a, b, left=False) @ a).detach().numpy(), b.array, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 3)])
def test_least_squares(shape: tuple[int, ...]) -> None:
    a, b = tensor(*shape), tensor(*shape[:-1], 2)
    found = linalg.lstsq(a, b)
    pairs = zip(a.array.reshape(-1, *shape[-2:]), b.array.reshape(-1, shape[-2], 2), strict=True)
    exact = np.stack([np.linalg.lstsq(m, v, rcond=None)[0] for m, v in pairs]).reshape(found.solution.shape)
    np.testing.assert_allclose(found.solution.detach().numpy(), exact, atol=1e-12)
    assert (found.rank == min(shape[-2:])).all()
    assert tg.autograd.gradcheck(lambda a, b: linalg.lstsq(a, b).solution, (a, b))


@pytest.mark.parametrize("order", [None, "fro", 1, -1, np.inf, -np.inf])
def test_norms_of_matrices_in_a_batch(order: object) -> None:
    a = tensor(2, 3, 4)
    for dims in ((-2, -1), (2, 0)):
        exact = np.linalg.norm(a.array, order, dims)
        np.testing.assert_allclose(linalg.norm(a, order, dims).detach().numpy(), exact, rtol=1e-12)
        assert linalg.norm(a, order, dims, keepdim=True).ndim == 3


@pytest.mark.parametrize("order", [0, 0.5, 1, 1.5, 2, 3, -1, -2, np.inf, -np.inf])
def test_norms_of_vectors_whatever_the_order(order: float) -> None:
    vectors = [[3.0, -4.0, 0.5], [-0.25, 2.0, 1.0], [0.0, 2.0, -3.0], [0.0, 0.0, 0.0]]
    a = tg.tensor(np.array(vectors), requires_grad=True)
    with np.errstate(divide="ignore"):
        exact = np.array([np.linalg.norm(v, order) for v in a.array])
    b = tg.zeros_like(a)
    found = [a.norm(p=order, dim=1), linalg.norm(a, order, 1), linalg.vector_norm(a, order, 1)]
    found.append(F.pairwise_distance(a, b, p=order, eps=0.0))
    for y in (*found, *([tg.cdist(a, b[:1], p=order)[:, 0]] if order >= 0 else [])):
        np.testing.assert_allclose(y.detach().numpy(), exact, rtol=1e-12)
    found[0].sum().backward()
    gradient = np.zeros((4, 3)) if a.grad is None else a.grad.numpy()
    assert (gradient[3] == 0).all()
    assert order >= 1 or (gradient[a.array == 0] == 0).all()
    if order != 0:
        inside = [tg.tensor(v, dtype=tg.float64, requires_grad=True) for v in vectors[:2]]
        assert tg.autograd.gradcheck(lambda *xs: tuple(x.norm(p=order) for x in xs), inside)


@pytest.mark.parametrize("order", [-1, np.inf, -np.inf])
def test_no_elements_have_no_extreme(order: float) -> None:
    with pytest.raises(RuntimeError, match="because the operation does not have an identity"):
        tg.norm(tg.zeros(2, 0), p=order, dim=1)
    assert tg.norm(tg.zeros(0, 2), p=order, dim=1).shape == (0,)
    with pytest.raises(RuntimeError, match="cdist only supports non-negative p values"):
        tg.cdist(tg.zeros(1, 2), tg.zeros(1, 2), p=-1)


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 7])
def test_powers_of_matrices(n: int) -> None:
    a = tensor(2, 3, 3)
    np.testing.assert_allclose(a.matrix_power(n).detach().numpy(), np.linalg.matrix_power(a.array, n), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.solve(tg.ones(2, 2), tg.ones(2)), "failed because the input matrix is singular"),
        (lambda: linalg.inv(tg.ones(2, 2)), "inversion could not be completed because the input matrix is singular"),
        (lambda: linalg.inv(tg.ones(2)), "must have at least 2 dimensions"),
        (lambda: linalg.det(tg.ones(2, 3)), "must be batches of square matrices"),
        (lambda: linalg.inv(tg.ones(2, 2, dtype=tg.int64)), "Expected a floating point or complex tensor"),
        (lambda: linalg.solve(tg.eye(2), tg.ones(3)), "Incompatible shapes of A and B"),
        (lambda: linalg.solve(tg.eye(2), tg.ones(2).double()), "Expected A and B to have the same dtype"),
        (lambda: linalg.lstsq(tg.ones(3, 2), tg.ones(2, 1)), r"input.size\(-2\) should match other.size\(-2\)"),
        (lambda: linalg.matrix_norm(tg.eye(2), "nuc"), "Order nuc not supported"),
        (lambda: linalg.norm(tg.ones(2, 3, 4), 1), "the input must be 1D or 2D. Got 3D"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


def test_powers_of_batches_of_vectors_go_up() -> None:
    x = tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    y = tg.linalg.vander(x)
    assert y[0].tolist() == [[1.0, 1.0, 1.0], [1.0, 2.0, 4.0], [1.0, 3.0, 9.0]]
    assert tg.linalg.vander(x, N=2).tolist() == [[[1.0, v] for v in row] for row in x.tolist()]
    y.sum().backward()
    assert x.grad.tolist() == (1 + 2 * x).tolist()
    with pytest.raises(RuntimeError, match="N must be greater than 1"):
        tg.linalg.vander(x, N=1)
