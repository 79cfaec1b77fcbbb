"""Compare: a hand-written backward pass goes in, the first wrong quantity and its cause come out.

`backprop` takes a dictionary of gradients, `network` a whole class such as the chapter's; `CATALOGUE` lists the
mistakes that are recognised, with the formula of each. Chapter, sections 1 and 2.

A student derives two layers and forgets that the cost is a mean:

>>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
>>> _ = nn.utils.vector_to_parameters(tg.tensor(np.linspace(-1, 1, 13)), model.parameters())
>>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
>>> Y = np.array([[0.0, 1.0, 1.0, 0.0]])
>>> W1, b1, W2, b2 = (p.detach().numpy() for p in model.parameters())
>>> A1 = np.tanh(W1 @ X + b1[:, None])
>>> A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2[:, None])))
>>> dZ2 = A2 - Y
>>> dA1 = W2.T @ dZ2
>>> dZ1 = dA1 * (1 - A1**2)
>>> grads = {
...     "dZ2": dZ2, "dW2": dZ2 @ A1.T, "db2": dZ2.mean(axis=1, keepdims=True),
...     "dA1": dA1, "dZ1": dZ1, "dW1": dZ1 @ X.T / 4, "db1": dZ1.mean(axis=1, keepdims=True),
... }
>>> print(backprop(model, X, Y, grads, numeric=False))
Backward pass of 2 -> 3 tanh -> 1 sigmoid, m = 4, layout 'chapter': 6 of 7 right
       shape  difference  verdict
  dZ2  1x4    < 1e-14      right
  dW2  1x3    6.0e-01     WRONG
  db2  1x1    < 1e-14      right
  dA1  3x4    < 1e-14      right
  dZ1  3x4    < 1e-14      right
  dW1  3x2    < 1e-14      right
  db1  3x1    < 1e-14      right
First wrong: dW2
Cause: missing 1/m in dW2, as in dW2 = dZ2 A1^T; the cost is a mean over m examples: divide by m once, in dW
  and db (in article A and PyTorch in dZ[L])
"""

from .grading import network
from .marking import backprop
from .mistakes import CATALOGUE, Cause, Mistake
from .report import NetworkReport, Report, Row

__all__ = ["CATALOGUE", "Cause", "Mistake", "NetworkReport", "Report", "Row", "backprop", "network"]
