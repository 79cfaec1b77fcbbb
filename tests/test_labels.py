"""The last op that PyTorch 2.13 prints with a tensor, where its name depends on what the op is of."""

import re

import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.nn import functional as F

PRINTED = """
    1-x Rsub1 | x-1 Sub0 | 1/x Mul0 | x/x Div0 | 2**x Pow2 | x**2 Pow0 | x.sum() Sum0 | x.sum(1) Sum1 | x.mean() Mean0
    x.mean(0) Mean1 | x.max() Max1 | x.min() Min1 | x.clamp(0,1) Clamp1 | x[0] Select0 | x[0,1] Select0 | x[:,0] Select0
    x[1:] Slice0 | x[0,1:] Slice0 | x[x>0] Index0 | x[[0,1]] Index0 | x[None] Unsqueeze0 | x[...,0] Select0 | x@v Mv0
    x@x.T Mm0 | v@v Dot0 | x[None]@x.T[None] UnsafeView0 | F.linear(x,x) Mm0 | F.linear(x,x,v[:3]) Addmm0
    F.linear(x[None],x) UnsafeView0 | F.mse_loss(x,x) MseLoss0 | tg.linalg.inv(x[:,:3]+tg.eye(3)) LinalgInvEx0
    F.binary_cross_entropy_with_logits(x,x) BinaryCrossEntropyWithLogits0
"""


@pytest.mark.parametrize("row", re.split(r"\||\n", PRINTED.strip()))
def test_the_name_is_the_one_pytorch_prints(row: str) -> None:
    call, name = row.split()
    x, v = tg.ones(3, 4, requires_grad=True), tg.ones(4, requires_grad=True)
    y = eval(call, {"x": x, "v": v, "F": F, "tg": tg})
    assert f"grad_fn=<{name[:-1]}Backward{name[-1]}>" in repr(y)
