"""Sizes from numbers alone, beside real files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from checkroom.sizing import from_parameters
from checkroom.sizing._closed_form import DTYPES, OPTIMIZERS


def test_weights_and_states_are_counted_exactly():
    size = from_parameters(1_000_000, optimizer="adamw")
    assert (size.weights, size.optimizer) == (4_000_000, 8_000_000)
    assert from_parameters(1_000_000, optimizer="sgd").optimizer == 0
    size = from_parameters(7_000_000_000, trainable=40_000_000, dtype="bf16", optimizer="adamw")
    assert (size.weights, size.optimizer) == (14_000_000_000, 160_000_000)
    assert size.total == size.weights + size.optimizer + size.other


@pytest.mark.parametrize("dtype", ["float32", "FP32", "torch.float32", "32"])
def test_types_have_several_names(dtype):
    assert from_parameters(10, dtype=dtype).weights == 40


@pytest.mark.parametrize("optimizer", ["AdamW", "adamw", "ADAMW"])
def test_optimizers_are_found_in_any_case(optimizer):
    assert from_parameters(10, optimizer=optimizer).optimizer == 80
    assert from_parameters(10, optimizer="sgd_momentum").optimizer == 40


@pytest.mark.parametrize(
    "arguments, quoted",
    [
        (dict(parameters=-1), "-1 parameters"),
        (dict(parameters=5, trainable=6), "6 trainable of 5"),
        (dict(parameters=5, trainable=-6), "-6 trainable"),
        (dict(parameters=5, tensors=0), "0 tensors"),
        (dict(parameters=5, dtype="float31"), "'float31'"),
        (dict(parameters=5, optimizer="adamx"), "'adamx'"),
    ],
)
def test_wrong_values_are_quoted(arguments, quoted):
    with pytest.raises(ValueError, match=quoted):
        from_parameters(**arguments)


def test_the_range_holds_the_figure_and_says_that_it_is_an_estimate():
    for parameters in (0, 1, 1000, 10**6, 10**9, 10**12):
        for optimizer in OPTIMIZERS:
            for dtype in DTYPES:
                size = from_parameters(parameters, dtype=dtype, optimizer=optimizer)
                assert size.least <= size.total <= size.most
                assert (size.exact, size.bound) == (False, "estimate")
    assert "not known" in " ".join(from_parameters(1000).notes)
    assert "not known" not in " ".join(from_parameters(1000, tensors=4).notes)


def test_knowing_the_number_of_tensors_narrows_the_range():
    free, bound = from_parameters(10**8), from_parameters(10**8, tensors=150)
    assert free.least <= bound.least <= bound.most <= free.most


def test_no_pytorch_is_needed():
    code = (
        "import sys, checkroom.sizing as s; s.from_parameters(10**9);"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- real files


def transformer(torch):
    layer = torch.nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
    return torch.nn.Sequential(torch.nn.Embedding(2000, 128), torch.nn.TransformerEncoder(layer, 6))


def convolutions(torch):
    def block(a, b):
        return [torch.nn.Conv2d(a, b, 3, bias=False), torch.nn.BatchNorm2d(b), torch.nn.ReLU()]

    return torch.nn.Sequential(*block(3, 64), *block(64, 128), *block(128, 256), torch.nn.Linear(256, 10))


def perceptron(torch):
    return torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))


MODELS = {"transformer": transformer, "convolutions": convolutions, "perceptron": perceptron}
MAKERS = {
    "adamw": lambda optim, p: optim.AdamW(p),
    "sgd": lambda optim, p: optim.SGD(p, lr=0.1),
    "sgd-momentum": lambda optim, p: optim.SGD(p, lr=0.1, momentum=0.9),
    "adam-amsgrad": lambda optim, p: optim.Adam(p, amsgrad=True),
    "adamax": lambda optim, p: optim.Adamax(p),
    "nadam": lambda optim, p: optim.NAdam(p),
    "radam": lambda optim, p: optim.RAdam(p),
    "rmsprop": lambda optim, p: optim.RMSprop(p),
    "rmsprop-momentum": lambda optim, p: optim.RMSprop(p, momentum=0.9),
    "rprop": lambda optim, p: optim.Rprop(p),
    "adagrad": lambda optim, p: optim.Adagrad(p),
    "adadelta": lambda optim, p: optim.Adadelta(p),
    "asgd": lambda optim, p: optim.ASGD(p),
}


@pytest.mark.parametrize("optimizer", MAKERS)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_real_checkpoints_lie_in_the_range(model, optimizer):
    torch = pytest.importorskip("torch")
    import checkroom

    module = model(torch)
    trained = MAKERS[optimizer](torch.optim, module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    trained.step()
    checkpoint = {
        "epoch": 3, "global_step": 1000, "pytorch-lightning_version": "2.6.6", "state_dict": module.state_dict(),
        "loops": {}, "callbacks": {}, "optimizer_states": [trained.state_dict()], "lr_schedulers": [],
    }  # fmt: skip
    real = checkroom.exact_size(checkpoint)
    parameters = list(module.parameters())
    count = sum(p.numel() for p in parameters)
    blind = from_parameters(count, optimizer=optimizer)
    assert blind.least <= real <= blind.most
    informed = from_parameters(count, optimizer=optimizer, tensors=len(parameters))
    assert informed.least <= real <= informed.most
    assert abs(informed.total - real) < 0.03 * real + 4000
    states = sum(
        t.numel() * t.element_size()
        for state in trained.state.values()
        for t in state.values()
        if torch.is_tensor(t) and t.numel() > 1
    )
    assert informed.optimizer == states
