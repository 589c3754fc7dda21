"""A training step in small: data loader processes, threads of OpenMP, gradients, a checkpoint."""

import os

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Stripes(Dataset):
    """Images of horizontal or vertical stripes with noise; the class is the direction."""

    def __len__(self) -> int:
        return 256

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        generator = torch.Generator().manual_seed(index)
        direction = index % 2
        stripes = (torch.arange(16) // 2 % 2).float()
        image = stripes.expand(16, 16) if direction else stripes.expand(16, 16).T
        return image[None] + 0.3 * torch.randn(1, 16, 16, generator=generator), direction


def main() -> None:
    torch.manual_seed(1)
    torch.set_num_threads(2)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(Stripes(), batch_size=32, num_workers=2)
    for epoch in range(3):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(loader):.4f}")
    path = os.path.join(os.environ["TMPDIR"], "model.pt")
    torch.save(model.state_dict(), path)
    model.load_state_dict(torch.load(path))
    model.eval()
    images, labels = next(iter(DataLoader(Stripes(), batch_size=256)))
    with torch.no_grad():
        print("correct", int((model(images).argmax(1) == labels).sum()))
        traced = torch.jit.trace(model, images[:1])
        print("traced equal", torch.allclose(traced(images), model(images)))
    matrix = torch.randn(300, 300, generator=torch.Generator().manual_seed(3))
    print(f"product {float((matrix @ matrix).sum()):.2f}, shared {torch.ones(5).share_memory_().is_shared()}")


if __name__ == "__main__":
    main()
