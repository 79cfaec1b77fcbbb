"""A feed-forward net with one hidden layer, trained with Adam in batches, with a confusion matrix."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

# Device configuration
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# Hyper-parameters
input_size = 64
hidden_size = 50
num_classes = 10
num_epochs = 5
batch_size = 50
learning_rate = 0.001


def make_data(n, seed):
    rng = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(num_classes, input_size)
    labels = rng.randint(num_classes, size=n)
    return torch.Tensor(centres[labels] + 1.5 * rng.randn(n, input_size)), torch.LongTensor(labels)


train_loader = DataLoader(TensorDataset(*make_data(500, 1)), batch_size=batch_size, shuffle=False)
test_loader = DataLoader(TensorDataset(*make_data(230, 2)), batch_size=batch_size, shuffle=False, drop_last=False)


# Fully connected neural network with one hidden layer
class NeuralNet(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        out = self.fc1(x)
        out = self.relu(out)
        return self.fc2(out)


def init_weights(m):
    if isinstance(m, nn.Linear):
        rng = np.random.RandomState(m.in_features)
        bound = 1 / np.sqrt(m.in_features)
        m.weight.data = torch.from_numpy(rng.uniform(-bound, bound, tuple(m.weight.shape))).float()
        m.bias.data.fill_(0.01)


model = NeuralNet(input_size, hidden_size, num_classes).to(device)
model.apply(init_weights)
print(model)
print(sum(p.numel() for p in model.parameters() if p.requires_grad), "trainable parameters")

# Loss and optimizer
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
print(optimizer)

# Train the model
for epoch in range(num_epochs):
    running_loss = 0.0
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * images.size(0)
    print(f"Epoch [{epoch + 1}/{num_epochs}], Loss: {running_loss / len(train_loader.dataset):.4f}")

# Test the model
model.eval()
confusion = torch.zeros(num_classes, num_classes, dtype=torch.long)
with torch.no_grad():
    n_correct = n_samples = 0
    for images, labels in test_loader:
        _, predicted = torch.max(model(images), 1)
        n_samples += labels.size(0)
        n_correct += (predicted == labels).sum().item()
        for t, p in zip(labels.view(-1), predicted.view(-1), strict=True):
            confusion[t, p] += 1
print(f"Accuracy of the network on the {n_samples} test images: {100.0 * n_correct / n_samples:.2f} %")
print(confusion)
print(confusion.diag() / confusion.sum(1))
