"""Linear regression on fifteen points, and saving the weights."""

import numpy as np
import torch
import torch.nn as nn

# Hyper-parameters
input_size = 1
output_size = 1
num_epochs = 60
learning_rate = 0.001

# Toy dataset
rng = np.random.RandomState(5)
x_train = (rng.rand(15, 1) * 10).astype(np.float32)
y_train = (0.4 * x_train + 1 + 0.3 * rng.randn(15, 1)).astype(np.float32)

# Linear regression model
model = nn.Linear(input_size, output_size)
nn.init.constant_(model.weight, -0.3)
nn.init.zeros_(model.bias)
print(model)

# Loss and optimizer
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
print(optimizer)

# Train the model
for epoch in range(num_epochs):
    # Convert numpy arrays to torch tensors
    inputs = torch.from_numpy(x_train)
    targets = torch.from_numpy(y_train)

    # Forward pass
    outputs = model(inputs)
    loss = criterion(outputs, targets)

    # Backward and optimize
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    if (epoch + 1) % 10 == 0:
        print(f"Epoch [{epoch + 1}/{num_epochs}], Loss: {loss.item():.4f}")

predicted = model(torch.from_numpy(x_train)).detach().numpy()
print(predicted.shape, predicted.dtype, np.round(predicted[:3, 0], 4))
print("weight", model.weight.data.numpy().round(4), "bias", model.bias.data.numpy().round(4))

# Save the model checkpoint and read it back
torch.save(model.state_dict(), "model.ckpt")
restored = nn.Linear(input_size, output_size)
print(restored.load_state_dict(torch.load("model.ckpt")))
print(torch.equal(restored.weight, model.weight), torch.equal(restored.bias, model.bias))

# The exact solution: least squares
A = torch.cat([inputs, torch.ones_like(inputs)], dim=1).double()
solution = torch.linalg.lstsq(A, targets.double()).solution
normal = torch.linalg.solve(A.T @ A, A.T @ targets.double())
print(solution)
print((A @ solution - targets).pow(2).mean(), torch.allclose(solution, normal))

# With a decaying learning rate SGD gets there
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=100, gamma=0.5)
for epoch in range(400):
    loss = criterion(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if (epoch + 1) % 100 == 0:
        lr = scheduler.get_last_lr()[0]
        print(f"Epoch {epoch + 1}: loss {loss.item():.5f}, next lr {lr}, weight {model.weight.item():.4f}")
