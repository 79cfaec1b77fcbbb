"""Logistic regression: softmax over ten classes from a data loader, then two classes with a sigmoid."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

input_size = 28 * 28
num_classes = 10
num_epochs = 4
batch_size = 100
learning_rate = 0.01
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Images(Dataset):
    """Noisy prototypes of ten classes; an item is an image (1, 28, 28) and its label."""

    def __init__(self, n, seed, transform=None):
        rng = np.random.RandomState(seed)
        self.labels = rng.randint(0, num_classes, n)
        self.images = np.random.RandomState(0).rand(10, 1, 28, 28)[self.labels] + rng.randn(n, 1, 28, 28)
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = torch.from_numpy(self.images[index]).float()
        if self.transform:
            image = self.transform(image)
        return image, int(self.labels[index])


train_dataset = Images(600, seed=1, transform=lambda t: t / 2)
test_dataset = Images(250, seed=2, transform=lambda t: t / 2)
train_loader = DataLoader(dataset=train_dataset, batch_size=batch_size, shuffle=False)
test_loader = DataLoader(dataset=test_dataset, batch_size=batch_size, shuffle=False)

model = nn.Linear(input_size, num_classes).to(device)
with torch.no_grad():
    model.weight.copy_(torch.from_numpy(np.random.RandomState(3).uniform(-1 / 28, 1 / 28, (10, 784))))
    model.bias.zero_()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)

total_step = len(train_loader)
for epoch in range(num_epochs):
    for i, (images, labels) in enumerate(train_loader):
        images = images.reshape(-1, input_size).to(device)
        labels = labels.to(device)
        outputs = model(images)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (i + 1) % 3 == 0:
            print(f"Epoch [{epoch + 1}/{num_epochs}], Step [{i + 1}/{total_step}], Loss: {loss.item():.4f}")

with torch.no_grad():
    correct = 0
    total = 0
    for images, labels in test_loader:
        images = images.reshape(-1, input_size)
        outputs = model(images)
        _, predicted = torch.max(outputs.data, 1)
        total += labels.size(0)
        correct += (predicted == labels).sum()
    print(f"Accuracy of the model on the {total} test images: {100 * correct / total:.2f} %", labels.shape)


class LogisticRegression(nn.Module):
    def __init__(self, n_input_features):
        super().__init__()
        self.linear = nn.Linear(n_input_features, 1)
        nn.init.constant_(self.linear.weight, 0.1)
        nn.init.constant_(self.linear.bias, 0)

    def forward(self, x):
        return torch.sigmoid(self.linear(x))


rng = np.random.RandomState(4)
X = torch.from_numpy(np.concatenate([rng.randn(80, 5) - 0.5, rng.randn(80, 5) + 0.5]).astype(np.float32))
y = torch.cat((torch.zeros(80), torch.ones(80))).view(-1, 1)
X = (X - X.mean(0)) / X.std(0)
model = LogisticRegression(X.shape[1])
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-3)
criterion = nn.BCELoss()
for epoch in range(100):
    loss = criterion(model(X), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if (epoch + 1) % 25 == 0:
        acc = model(X).round().eq(y).sum() / float(y.shape[0])
        print(f"epoch: {epoch + 1}, loss = {loss.item():.4f}, accuracy = {acc.item():.4f}")
print(model.linear.weight)
