"""A small model that is fine-tuned: a frozen backbone, LoRA adapters, and a policy head; for the README's table."""

from __future__ import annotations

from typing import Any

import torch


class _Layer(torch.nn.Module):
    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.base = torch.nn.Linear(width, width).requires_grad_(False)
        self.lora_A = torch.nn.Linear(width, rank, bias=False)
        self.lora_B = torch.nn.Linear(rank, width, bias=False)


def save_finetuned(path: str, width: int = 400) -> None:
    """Writes the model and its optimizer after a step, under Lightning's keys."""
    model = torch.nn.ModuleDict({
        "vision": torch.nn.Sequential(*(_Layer(width, 4) for _ in range(2))),
        "language": torch.nn.Sequential(*(_Layer(width, 4) for _ in range(3))),
        "policy_head": torch.nn.Sequential(torch.nn.Linear(width, width // 2), torch.nn.Linear(width // 2, 7)),
    })  # fmt: skip
    trained: list[Any] = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    checkpoint = {"epoch": 4, "global_step": 500, "state_dict": model.state_dict(), "loops": {}, "callbacks": {},
                  "optimizer_states": [optimizer.state_dict()], "lr_schedulers": []}  # fmt: skip
    with open(path, "wb") as file:
        torch.save(checkpoint, file)
