"""What a reader of an estimate should know beside the figures: one sentence each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checkroom import KeepLast, format_size
from checkroom.cli._errors import one_line
from checkroom.cli._estimate_report import EstimateReport, PolicyReport
from checkroom.cli._estimate_request import Dataset
from checkroom.cli._policy import Policy
from checkroom.cli._text import counted, precise_size

__all__ = ["remarks"]

# Parts that differ by less than this agree: figures are written with two or three digits.
_TOLERANCE = 0.01
_IEC_STEP = 1024 / 1000


def remarks(report: EstimateReport) -> tuple[str, ...]:
    """The remarks, in the order in which they concern the output."""
    return tuple(dict.fromkeys(_all(report)))


def _all(report: EstimateReport) -> Iterator[str]:
    request = report.request
    yield from request.remarks
    size = request.checkpoint
    if size.least != size.most:
        yield (
            f"One checkpoint is an estimate: {format_size(size.least)} to {format_size(size.most)}, most likely "
            f"{format_size(size.total)}. The least figures use the one end, the most and the peaks the other."
        )
        yield from (f"{note[:1].upper()}{note[1:]}." for note in size.notes)
    if request.dataset is not None:
        yield from _dataset(request.dataset)
    if any(row.files.least != row.files.most for policy in report.policies for row in policy.rows):
        yield (
            "Files, least and most: least is a last.ckpt that shares its blocks with a kept file, most one of its own."
        )
    for item in report.policies:
        yield from _nothing_kept(item)
    policies = [*request.policies, *(strategy.policy for strategy in request.strategies)]
    for policy in policies:
        yield from _filename(policy)
    names = [policy.title for policy in policies if _last_is_newest_top_k(policy, request.lightning_version)]
    if names:
        yield (
            f"With Lightning {request.lightning_version} and a monitor, last is the newest top-k save, not the last "
            f"epoch ({', '.join(names)}). To keep the last epoch as well, add keep=[checkroom.KeepLast(1)]."
        )
    if request.free is not None and (request.dataset or request.model_files_bytes or request.misc_bytes):
        yield (
            "The verdict is on the checkpoints at their peak and the logs: dataset, model files and misc are taken to "
            "lie on the disk already."
        )
    if request.free is not None and request.free.bytes is None:
        where = one_line(request.free.path or "")
        yield f"The filesystem of {where} does not say what is free: no verdict. Give --free SIZE."


def _dataset(dataset: Dataset) -> Iterator[str]:
    mean, files = dataset.stated_mean_bytes, dataset.files
    if mean is None or files is None or not dataset.bytes:
        return
    product = mean * files
    if abs(product / dataset.bytes - 1) <= _TOLERANCE:
        return
    text = (
        f"{files} files of {precise_size(mean)} are {precise_size(product)}, but the dataset is given as "
        f"{precise_size(dataset.bytes)}"
    )
    # A size of the next unit up, both read as IEC: 231 files of 25.1 MiB are 5.66 GiB.
    if abs(product / (dataset.bytes * _IEC_STEP) - 1) <= _TOLERANCE:
        text += " (read as IEC units, MiB and GiB, the two agree)"
    yield text + ". The figures use the latter."


def _nothing_kept(item: PolicyReport) -> Iterator[str]:
    empty = [row.epochs for row in item.rows if row.files.most == 0]
    if not empty:
        return
    every_epochs, every_steps = item.policy.get("every_n_epochs"), item.policy.get("every_n_train_steps")
    if item.policy.get("save_top_k") == 0:
        reason = "save_top_k=0 keeps none"
    else:
        reason = f"it saves every {every_steps} steps" if every_steps else f"it saves every {every_epochs} epochs"
    yield f"With {item.policy.title}, a run of {counted(empty[-1], 'epoch')} leaves no checkpoint: {reason}."


def _filename(policy: Policy) -> Iterator[str]:
    doubled = policy.doubled
    if doubled:
        name = doubled[0]
        yield (
            f"The filename of {policy.title} would hold {' and '.join(doubled)} twice ({name}={name}=...): "
            f"auto_insert_metric_name=False is added to the call."
        )


def _last_is_newest_top_k(policy: Policy, version: str) -> bool:
    major, minor = (int(number) for number in re.findall(r"\d+", version)[:2])
    newest = any(isinstance(rule, KeepLast) for rule in policy.get("keep") or ())
    return bool((major, minor) >= (2, 6) and policy.get("save_last") and policy.get("monitor") and not newest)
