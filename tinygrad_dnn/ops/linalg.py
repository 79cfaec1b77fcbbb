"""Matrix products of vectors, matrices and batches, and Einstein summation."""

from typing import Any

import numpy as np

from ..calls import written
from ..engine import Array, Out, Tensor, leaf, op
from ..interpreters import tensors
from .shape import diagonal, expand, permute

__all__ = ["bmm", "dot", "einsum", "matmul", "mm", "mv", "outer"]


@op(
    signature="(m,k),(k,n)->(m,n)",
    sample=lambda rng: ((rng.normal(size=(2, 1, 3, 4)), rng.normal(size=(5, 4, 2))), {}),
)
def matmul(a: Array, b: Array, *, out: Out = None) -> Any:
    """Matrix product ``y = a b``; vectors and batches by NumPy's rules, batch dimensions broadcast.

    da = g b^T        db = a^T g

    Raises RuntimeError for sizes that do not fit and for different dtypes.

    >>> tg.matmul(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    if a.dtype != b.dtype and "f" in (a.dtype.kind, b.dtype.kind):
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype}; convert one, with .to()"
        )
    try:
        return np.matmul(a, b, out=out)
    except ValueError:
        raise RuntimeError(product_error(a.shape, b.shape)) from None


def product_error(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    """PyTorch's sentence for two shapes that cannot be multiplied."""
    if not a or not b:
        return f"both arguments to matmul need to be at least 1D, but they are {len(a)}D and {len(b)}D; use *"
    rows, columns = a if len(a) == 2 else ("x".join(map(str, a[:-1])) or 1, a[-1])
    inner, n = b if len(b) == 2 else (b[0] if len(b) == 1 else b[-2], "x".join(map(str, b[-1:])) if len(b) > 1 else 1)
    hint = "batch sizes must broadcast" if columns == inner else f"inner sizes, {columns} and {inner}, must be equal"
    if columns != inner and len(a) >= 2 and rows == inner:
        hint += "; did you mean to transpose the first?"
    elif columns != inner and columns == n:
        hint += "; did you mean to transpose the second?"
    return f"mat1 and mat2 shapes cannot be multiplied ({rows}x{columns} and {inner}x{n}): {a} @ {b}, {hint}"


def left_cotangent(xp: Any, g: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """``g b^T`` for a left factor of ``shape``."""
    if b.ndim == 1:
        return xp.reshape(g, size=(*g.shape, 1)) * b
    if len(shape) == 1:
        return row(xp, g, b.swapaxes(-1, -2))
    return xp.matmul(g, b.swapaxes(-1, -2))


def right_cotangent(xp: Any, g: Any, a: Any, shape: tuple[int, ...]) -> Any:
    """``a^T g`` for a right factor of ``shape``."""
    if a.ndim == 1:
        if len(shape) == 1:
            return g * a
        return xp.reshape(a, size=(*a.shape, 1)) * xp.reshape(g, size=(*g.shape[:-1], 1, g.shape[-1]))
    if len(shape) == 1:
        return row(xp, g, a)
    return xp.matmul(a.swapaxes(-1, -2), g)


def row(xp: Any, g: Any, m: Any) -> Any:
    """``g m`` for batches of row vectors g and matrices m."""
    y = xp.matmul(xp.reshape(g, size=(*g.shape[:-1], 1, g.shape[-1])), m)
    return xp.reshape(y, size=(*y.shape[:-2], y.shape[-1]))


matmul.vjp(a=left_cotangent, b=right_cotangent)


def ranked(name: str, a: Any, b: Any, *ranks: int) -> Tensor:
    """``matmul`` of tensors that must have these numbers of dimensions."""
    for x, n in zip((a, b), ranks, strict=True):
        if np.ndim(x.array if isinstance(x, Tensor) else x) != n:
            raise RuntimeError(f"{name}(): expected a {n}-D tensor, got shape {tuple(x.shape)}; matmul() takes any")
    return matmul(a, b)


def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices.

    Raises RuntimeError for anything else.

    >>> tg.mm(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    return written(out, ranked("mm", input, mat2, 2, 2))


def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of a matrix and a vector.

    Raises RuntimeError for anything else.

    >>> tg.mv(tg.tensor([[1.0, 2.0]]), tg.tensor([3.0, 4.0]))
    tensor([11.])
    """
    return written(out, ranked("mv", input, vec, 2, 1))


def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inner product of two vectors.

    Raises RuntimeError for anything else.

    >>> tg.dot(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return written(out, ranked("dot", input, tensor, 1, 1))


def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of two batches of matrices, of the same batch size.

    Raises RuntimeError for anything else.

    >>> tg.bmm(tg.ones(2, 1, 3), tg.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    if input.ndim == mat2.ndim == 3 and input.shape[0] != mat2.shape[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{input.shape[0]}, {input.shape[2]}] "
            f"but got: [{mat2.shape[0]}, {mat2.shape[1]}]; matmul() broadcasts"
        )
    return written(out, ranked("bmm", input, mat2, 3, 3))


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Outer product ``y_ij = a_i b_j`` of two vectors.

    Raises RuntimeError for anything else.

    >>> tg.outer(tg.tensor([1, 2]), tg.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D arguments, but got {input.ndim}-D and {vec2.ndim}-D")
    return written(out, input.reshape(-1, 1) * vec2.reshape(1, -1))


for _function in (bmm, dot, mm, mv, outer):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here


@op(
    signature="(...)->(...)",
    sample=lambda rng: ((rng.normal(size=(2, 3, 3)), rng.normal(size=(3, 4))), {"equation": "bii,ij->bj"}),
)
def einstein_sum(*operands: Array, equation: str, out: Out = None) -> Any:
    """Sum of products over the indices that ``equation`` leaves out; every index is a letter, the output explicit.

    doperand_i = the sum of products of g and the other operands, over the indices operand i does not have
    """
    return into_shape(np.einsum(equation, *operands, optimize=len(operands) > 1), out)


def into_shape(y: Any, out: Any) -> Any:
    """``y`` copied, because einsum may return a view of an operand."""
    if out is None:
        return np.array(y)
    out[...] = y
    return out


def operand_cotangent(xp: Any, g: Any, i: int, operands: Any, equation: str) -> Any:
    """The rule of operand ``i``: the same sum with g in its place.

    An index that only this operand has is summed out of y, so its gradient is a copy: a vector of ones supplies it. An
    index that this operand has twice stands for a diagonal: an identity matrix puts g there.
    """
    left, result = equation.split("->")
    terms = left.split(",")
    wanted, extra = "", []
    for position, letter in enumerate(terms[i]):
        n = operands[i].shape[position]
        if letter in wanted:
            fresh = next(c for c in LETTERS if c not in equation and c not in wanted)
            extra.append((letter + fresh, np.eye(n, dtype=g.dtype)))
            wanted += fresh
        else:
            wanted += letter
            if not any(letter in term for k, term in enumerate((*terms, result)) if k != i):
                extra.append((letter, np.ones(n, dtype=g.dtype)))
    parts = [(result, g)] + [(t, x) for k, (t, x) in enumerate(zip(terms, operands, strict=True)) if k != i] + extra
    return xp.einstein_sum(*(x for _, x in parts), equation=f"{','.join(t for t, _ in parts)}->{wanted}")


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

einstein_sum.vjp(operands=operand_cotangent)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sum of products over the indices that are not in the output.

    Parameters
    ----------
    equation : str
        Indices of every operand and of the output, ``"ij,jk->ik"``; without ``->`` the output has, in alphabetical
        order, the indices that occur once. ``...`` stands for the dimensions that are not named.
    operands : Tensor
        One for each term.

    >>> einsum("i,i->", tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    tensors_in = [x if isinstance(x, Tensor) else leaf(np.asarray(x)) for x in operands]
    equation = explicit(equation, [x.ndim for x in tensors_in])
    left, _, result = equation.partition("->")
    tensors_in = expanded(tensors_in, left.split(","))
    if len(result) == len(set(left)) and set(left) == set(result):
        return rearranged(tensors_in[0], left, result)
    return einstein_sum(*tensors_in, equation=equation)


def expanded(operands: list[Tensor], terms: list[str]) -> list[Tensor]:
    """The operands, with dimensions of size 1 expanded to the size that others have of the same letter."""
    known: dict[str, int] = {}
    for k, (x, term) in enumerate(zip(operands, terms, strict=True)):
        own: dict[str, int] = {}
        for letter, n in zip(term, x.array.shape, strict=True):
            if own.setdefault(letter, n) != n:
                raise RuntimeError(
                    f"einsum(): subscript {letter} is repeated for operand {k} but the sizes don't match, "
                    f"{n} != {own[letter]}"
                )
            if n != 1 and known.setdefault(letter, n) != n:
                raise RuntimeError(
                    f"einsum(): subscript {letter} has size {n} for operand {k} which does not broadcast with "
                    f"previously seen size {known[letter]}"
                )
    sizes = [tuple(known.get(letter, 1) for letter in term) for term in terms]
    return [x if x.array.shape == size else expand(x, size=size) for x, size in zip(operands, sizes, strict=True)]


def rearranged(x: Tensor, term: str, result: str) -> Tensor:
    """The sum with one operand and nothing to add up, as a view: dimensions permuted, diagonals taken."""
    for letter in result:
        while term.count(letter) > 1:
            first = term.index(letter)
            x = diagonal(x, dim1=first, dim2=term.index(letter, first + 1))
            term = term.replace(letter, "", 2) + letter
    return permute(x, dims=tuple(term.index(letter) for letter in result))


def explicit(equation: str, ndims: list[int]) -> str:
    """``equation`` with its output written and every ``...`` replaced by letters."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum(): {equation!r} names {len(terms)} operands, {len(ndims)} were given")
    unnamed = [n - len(term.replace("...", "")) for term, n in zip(terms, ndims, strict=True)]
    for term, n, rest in zip(terms, ndims, unnamed, strict=True):
        if rest < 0 or (rest and "..." not in term):
            raise RuntimeError(f"einsum(): the number of subscripts in {term!r} does not match a {n}-D operand")
    free = [c for c in LETTERS if c not in equation][: max(unnamed)]
    terms = [term.replace("...", "".join(free[len(free) - n :])) for term, n in zip(terms, unnamed, strict=True)]
    if arrow:
        result = result.replace("...", "".join(free))
    else:
        result = "".join(free) + "".join(sorted(c for c in set(left) if left.count(c) == 1 and c.isalpha()))
    return f"{','.join(terms)}->{result}"
