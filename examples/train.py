"""Train a small 3D CNN on a dataset with a column ``label``: ``python train.py DATASET``."""

import sys

import torch
from torch import nn

import clipmill


def main(dataset):
    labels = clipmill.open(dataset).table(["label"])["label"].unique().to_pylist()
    loader = clipmill.load(
        dataset, frames=8, stride=1, position="random", size=32, layout="cthw",
        columns=("label",), batch_size=8, shuffle=True,
    ).torch(num_workers=2, persistent_workers=True)  # fmt: skip
    network = nn.Sequential(
        nn.Conv3d(3, 16, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(16), nn.ReLU(),
        nn.Conv3d(16, 32, 3, stride=2, padding=1), nn.BatchNorm3d(32), nn.ReLU(),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, len(labels)),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for epoch in range(20):
        losses, right = [], []
        for batch in loader:
            wanted = torch.tensor([labels.index(label) for label in batch["label"]])
            scores = network(batch["frames"] / 255)
            loss = nn.functional.cross_entropy(scores, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            right += (scores.argmax(1) == wanted).tolist()
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}, {sum(right)} of {len(right)}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1])
