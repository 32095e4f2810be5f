"""Each counter of a checkpoint, foretold from anywhere in a run, beside what Lightning counts when it gets there."""

from __future__ import annotations

import random
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from sizing_runs import HOOKS, Hooks, Tiny, arguments, count, fit, loader, scheduler, trainer  # noqa: E402

from checkroom.sizing._counters import Counters, counters_of  # noqa: E402
from checkroom.sizing._moment import moment_of  # noqa: E402
from checkroom.sizing._run import Run  # noqa: E402


class Foretells(Hooks):
    """Foretells every place ahead, from each hook, and compares when the run gets there."""

    def __init__(self, chance: random.Random, offset: int = 0) -> None:
        self.chance, self.offset = chance, offset
        self.foretold: dict[tuple[int, int, str], list[tuple[str, Counters, list[int]]]] = {}
        self.compared = self.exact = 0
        self.wrong: list[str] = []

    def at(self, trainer: Any, hook: str) -> None:
        if hook == "train_start":
            self._move_on(trainer)
        if hook in HOOKS:
            self._compare(trainer, hook)
        if hook != "train_end" and self.chance.random() < (1.0 if hook == "train_start" else 0.3):
            self._foretell(trainer, hook)

    def _move_on(self, trainer: Any) -> None:
        """As in a run that has gone on for long: numbers that are about to need one more byte."""
        loop = trainer.fit_loop.epoch_loop
        optimizer = loop.automatic_optimization.optim_progress.optimizer
        for progress in (loop.batch_progress, optimizer.step, optimizer.zero_grad, loop.scheduler_progress):
            for stage in vars(progress.total):
                setattr(progress.total, stage, getattr(progress.total, stage) + self.offset)
        loop._batches_that_stepped += self.offset

    def _foretell(self, trainer: Any, origin: str) -> None:
        run = Run(trainer)
        now = [_last_epoch(config) for config in trainer.lr_scheduler_configs]
        for epoch in range(run.epoch, trainer.max_epochs):
            first = run.before(epoch).steps
            for step in range(first, first + run.steps(epoch, run.last_batch(epoch)) + 1):
                for hook in HOOKS:
                    try:
                        moment = moment_of(run, epoch, step, hook)
                    except ValueError:
                        continue
                    known = (f"{origin} in epoch {run.epoch}", counters_of(run, trainer, moment), now)
                    self.foretold.setdefault((epoch, step, hook), []).append(known)

    def _compare(self, trainer: Any, hook: str) -> None:
        epoch = trainer.current_epoch - (1 if hook == "train_end" else 0)
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(False)
        place = (epoch, trainer.global_step, hook)
        foretold = self.foretold.get(place, [])
        if not foretold:
            self.wrong.append(f"{place} was not foreseen")
        for origin, counters, before in foretold:
            for path, span in counters.spans.items():
                value: Any = checkpoint
                for key in path:
                    value = value[key]
                self.compared += 1
                self.exact += span.least == span.most
                if not span.least <= value <= span.most:
                    self.wrong.append(f"{'.'.join(path)} at {place} is {value}, from {origin} it was {span}")
            for config, span, past in zip(trainer.lr_scheduler_configs, counters.updates, before):
                if not span.least <= _last_epoch(config) - past <= span.most:
                    self.wrong.append(f"updates at {place}: {_last_epoch(config) - past}, from {origin} {span}")


def _last_epoch(config: Any) -> int:
    inner = getattr(config.scheduler, "_schedulers", [config.scheduler])[0]
    return int(getattr(config.scheduler, "last_epoch", inner.last_epoch))


@pytest.mark.parametrize("seed", count(12, 300))
def test_every_counter_is_foretold(seed: int) -> None:
    chance = random.Random(seed)
    batches = chance.randint(1, 6)
    settings, plan = arguments(chance, batches), scheduler(chance)
    offset = chance.choice([0, 0, 254, 65_530])
    if settings["max_steps"] > 0:
        settings["max_steps"] += offset
    watch = Foretells(chance, offset)
    fit(trainer(watch, **settings), Tiny(plan), loader(batches), loader(3))
    assert not watch.wrong, f"{settings} {plan} {batches} batches: {watch.wrong[:5]}"
    assert watch.compared > 30
    # What is not exact: several batches of one step, a scheduler whose metric may be missing, and the length of a
    # validation that the first epoch does not need.
    several = settings["accumulate_grad_batches"] > 1
    missing = plan is not None and plan["kind"] == "Plateau"
    later = settings["check_val_every_n_epoch"] == 2 and settings["num_sanity_val_steps"] == 0
    if not (several or missing or later):
        assert watch.exact == watch.compared


class ByHand(Tiny):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, _index: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, _index))
        optimizer.step()


def test_with_manual_optimization_every_batch_is_taken_to_step_once() -> None:
    watch = Foretells(random.Random(1))
    run = trainer(watch, max_epochs=3, num_sanity_val_steps=0)
    fit(run, ByHand(), loader(4), loader(1))
    assert not watch.wrong and watch.compared > 100


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self) -> Any:
        return iter(torch.zeros(4, 1))


def test_without_a_length_the_counters_are_spans() -> None:
    seen = []

    class Watch(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_start":
                run = Run(trainer)
                assert run.length is None
                self.spans = [counters_of(run, trainer, moment_of(run, epoch, None, None)).spans for epoch in (0, 1)]
            if hook == "train_epoch_end":
                checkpoint = trainer._checkpoint_connector.dump_checkpoint(False)
                for path, span in self.spans[trainer.current_epoch].items():
                    value: Any = checkpoint
                    for key in path:
                        value = value[key]
                    assert span.least <= value <= span.most, path
                    seen.append(path)

    data = torch.utils.data.DataLoader(Endless())
    fit(trainer(Watch(), max_epochs=2, num_sanity_val_steps=0), Tiny(), data, loader(1))
    assert len(seen) > 60
