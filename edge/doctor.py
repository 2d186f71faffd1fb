"""What somebody has to know of the edge when it is wrong or slow, found out one thing after another."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from edge import memory, models
from edge.config import EdgeSettings
from edge.llama.machine import build, calibration, hardware, selftest
from edge.llama.machine.probe import Probe, probe
from edgewise.errors import EdgewiseError

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` is what to do next; `figures` are for a program to read."""

    level: Level
    subject: str
    text: str
    advice: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)


def findings(settings: EdgeSettings, *, calibrate: bool, progress: Callable[[int], None]) -> Iterator[Finding]:
    """From the processor up to the speed of the model. What depends on something that failed is left out.

    A model that was not measured here yet is, or with `calibrate` any; `progress` then hears how many rounds are done.
    """
    yield _embedder(settings)
    if settings.address:
        yield Finding("ok", "engine", f"runs elsewhere, at {settings.address}; run `edgewise doctor` there")
        return
    if settings.engine != "llama":
        what = settings.base_url if settings.engine == "openai_url" else f"records in {settings.replay_file}"
        yield Finding("ok", "engine", f"{settings.engine}: {what}; llama.cpp is not used")
        return
    yield from _llama(settings, calibrate=calibrate, progress=progress)


def _llama(settings: EdgeSettings, *, calibrate: bool, progress: Callable[[int], None]) -> Iterator[Finding]:
    subject = "llama.cpp"
    try:
        found = hardware.look()
        yield _processor(found)
        yield _gpu(found, settings)
        subject = "model"
        path, finding = _model(settings)
        yield finding
        needed = probe(path, settings.context_tokens, settings.parallel, _tuning(path, settings))
        if settings.gpu_layers == 0:
            yield _memory(needed, settings)
        if not needed.has_chat_template:
            advice = "set edge.model to an instruction-tuned model"
            yield Finding("fail", "template", "the model has no chat template", advice)
        subject = "self-test"
        asyncio.run(selftest.check(path, repack=settings.repack))
        yield Finding("ok", subject, "llama.cpp decodes this model on this processor")
        subject = "speed"
        yield _speed(path, settings, calibrate=calibrate, progress=progress)
    except EdgewiseError as error:
        yield Finding("fail", subject, error.message)
        return
    if " Q4_1" in needed.description and not (settings.repack and (found.uses_amx or found.has_kernels)):
        yield _requantising(settings)


def _embedder(settings: EdgeSettings) -> Finding:
    try:
        model = models.find(settings.embedder)
        models.locate(model.name)
        for file in model.files:
            path = model.directory / file.name
            models.check_hash(path, models.digest(path))
    except EdgewiseError as error:
        return Finding("fail", "embedder", error.message)
    return Finding("ok", "embedder", f"{model.label}, hash as in the catalogue")


def _processor(found: hardware.Hardware) -> Finding:
    version = metadata.version("llama-cpp-python")
    features = [feature for feature in found.features if feature not in {"LLAMAFILE", "OPENMP", "REPACK"}]
    text = f"llama-cpp-python {version} on {build.cores()} cores, {platform.machine()}: {' '.join(features)}"
    if found.has_kernels:
        text += "; our kernels are in it"
    figures = {
        "cores": build.cores(),
        "features": list(found.features),
        "amx": found.uses_amx,
        "kernels": found.has_kernels,
    }
    if hardware.has_amx() and not found.uses_amx:
        advice = "delete .venv and run `make setup`: a build for this processor evaluates prompts much faster"
        return Finding("warn", "llama.cpp", f"{text}; built without the AMX that the processor has", advice, figures)
    return Finding("ok", "llama.cpp", f"{text}; {'AMX is used' if found.uses_amx else 'no AMX here'}", figures=figures)


def _gpu(found: hardware.Hardware, settings: EdgeSettings) -> Finding:
    names = {device.name for device in found.gpus}
    missing = sorted(set(settings.devices) - {device.name for device in found.devices})
    figures = {"devices": [asdict(device) for device in found.devices]}
    if missing:
        known = ", ".join(device.name for device in found.devices)
        return Finding(
            "fail", "devices", f"no {', '.join(missing)} here", f"set edge.devices to some of {known}", figures
        )
    if not names:
        text = "no GPU that this build of llama.cpp could use"
        if settings.gpu_layers:
            return Finding("warn", "devices", text, "build llama.cpp for the GPU, or set edge.gpu_layers to 0", figures)
        return Finding("ok", "devices", text, figures=figures)
    text = "; ".join(f"{device.name}: {device.description}" for device in found.gpus)
    advice = "" if settings.gpu_layers else "set edge.gpu_layers to -1 to use it"
    return Finding("ok", "devices", text, advice, figures)


def _model(settings: EdgeSettings) -> tuple[Path, Finding]:
    path = models.locate(settings.model)
    digest = models.digest(path)
    models.check_hash(path, digest)
    model = models.of(path)
    figures = {"path": str(path), "sha256": digest}
    if model is None or model.files[0].sha256 is None:
        text = f"{path}, a file of yours: no hash to compare with"
        return path, Finding("ok", "model", text, figures=figures)
    word = {"published": "as in the catalogue", "given": "as you gave it", "first_use": "as when it was first fetched"}
    return path, Finding(
        "ok", "model", f"{model.name}, hash {word.get(model.trust, 'as it was made')}", figures=figures
    )


def _memory(needed: Probe, settings: EdgeSettings) -> Finding:
    free = memory.available()
    text = memory.in_words(needed, settings.context_tokens, settings.parallel)
    figures = {"needed_bytes": needed.bytes, "free_bytes": free}
    if free is None:
        return Finding("warn", "memory", f"{text}; how much is free cannot be read here", figures=figures)
    text = f"{text}; {free / 1e6:.0f} MB are free"
    if needed.bytes > free:
        return Finding("fail", "memory", text, memory.ADVICE, figures)
    if settings.context_tokens > needed.context_tokens:
        advice = f"set edge.context_tokens to {needed.context_tokens}, which is what the model was trained on and has"
        return Finding("warn", "memory", text, advice, figures)
    return Finding("ok", "memory", text, figures=figures)


def _tuning(path: Path, settings: EdgeSettings) -> calibration.Tuning:
    """As the engine chooses it."""
    return calibration.tuning(models.digest(path), settings.threads, settings.flash_attention, repack=settings.repack)


def _speed(path: Path, settings: EdgeSettings, *, calibrate: bool, progress: Callable[[int], None]) -> Finding:
    if not settings.repack:
        text = "not measured, as edge.repack is off: the defaults are used"
        return Finding("ok", "speed", f"{_in_words(_tuning(path, settings))}; {text}")
    found = None if calibrate else calibration.known(models.digest(path))
    busy = os.getloadavg()[0] / build.cores()
    if found is None:
        if busy > 0.5 and not calibrate:
            text = f"not measured: other programs want {busy:.0%} of the cores; the defaults are used"
            return Finding("warn", "speed", text, "run `edgewise doctor --calibrate` when the machine is quiet")
        found = calibration.measure(path, progress)
    chosen, default, tuning = found.chosen, found.default, _tuning(path, settings)
    text = f"{_in_words(tuning)}; {_figures(chosen.speeds)}, measured {found.measured_at[:10]}"
    if found.tuning != default.tuning:
        text += f" (the default: {_figures(default.speeds)})"
    if settings.threads is not None and settings.threads != found.tuning.threads:
        text += f" with {found.tuning.threads} threads; edge.threads is {settings.threads}"
    if settings.flash_attention not in {None, found.tuning.flash_attention}:
        text += f" with flash attention {_on(found.tuning.flash_attention)}, which edge.flash_attention changes"
    figures = asdict(found)
    if found.noisy:
        advice = "the rounds differ much: run `edgewise doctor --calibrate` when the machine is quiet"
        return Finding("warn", "speed", text, advice, figures)
    return Finding("ok", "speed", text, figures=figures)


def _in_words(tuning: calibration.Tuning) -> str:
    threads = f"{tuning.threads} threads"
    if tuning.prompt_threads != tuning.threads:
        threads += f", {tuning.prompt_threads} for prompts"
    return f"{threads}, chunks of {tuning.chunk_tokens} tokens, flash attention {_on(tuning.flash_attention)}"


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"


def _figures(speeds: calibration.Speeds) -> str:
    return f"tokens/s: prompts {speeds.prompt:.0f}, one answer {speeds.single:.0f}, four at once {speeds.several:.0f}"


def _requantising(settings: EdgeSettings) -> Finding:
    """The figures are CPU time on a processor with AVX-512; edge/README.md says how they were measured."""
    return Finding(
        "ok",
        "weights",
        "Q4_1 is slow without AMX or our kernels: as Q8_0, SmolLM2 evaluates prompts twice as fast with next to no "
        "loss and takes 47 MB more; as Q4_0 2.4 times, but its answers get worse",
        f"to try it: `edgewise models requantise {settings.model} --to q8_0`",
    )
