"""Our kernels in llama.cpp: their products are right for every kind of vector, and a model says the same with them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants
from numpy.typing import NDArray

from edge.llama import kernels, sampling
from edge.llama.machine import build
from edge.llama.machine.calibration import Tuning
from edge.llama.native import Flag, Native, Work, start
from edge.llama.sampling import Gauge

HARNESS = Path(__file__).parents[1] / "kernel_harness.cpp"
SOURCES = Path(kernels.__file__).parent
COMPILER = shutil.which("c++") or shutil.which("g++")
VECTORS = {"avx2": ["-mavx2", "-mfma", "-mf16c"], "native": ["-march=native"]}
KINDS = {"Q4_1": "multiply_nibbles", "Q8_0": "multiply_bytes"}
ROWS, COLUMNS = 48, 192

Floats = NDArray[np.float32]

CPUINFO = Path("/proc/cpuinfo")
HAS_AVX2 = CPUINFO.exists() and "avx2" in CPUINFO.read_text(encoding="utf-8")

needs_x86 = pytest.mark.skipif(not HAS_AVX2, reason="the kernels are for x86-64 with AVX2")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


@pytest.fixture(scope="module", params=VECTORS)
def products(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    assert COMPILER
    library = tmp_path_factory.mktemp("kernels") / "products.so"
    options = ["-std=c++17", "-O2", "-shared", "-fPIC", f"-I{SOURCES}", *VECTORS[request.param]]
    subprocess.run([COMPILER, *options, str(HARNESS), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def function(products: ctypes.CDLL, kind: str) -> str:
    if kind == "Q8_0" and not products.has_bytes():
        pytest.skip("llama.cpp's own kernel is used with these vectors")
    return KINDS[kind]


def multiply(products: ctypes.CDLL, name: str, rows: NDArray[np.uint8], inputs: Floats) -> Floats:
    out = np.full((len(inputs), ROWS), np.nan, np.float32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (rows, inputs, out)]
    getattr(products, name)(pointers[0], ROWS, COLUMNS, pointers[1], len(inputs), pointers[2])
    return out


def quantised(inputs: Floats) -> NDArray[np.float64]:
    """As 127 steps to either side of nought, in blocks of 32."""
    blocks = inputs.reshape(len(inputs), -1, 32).astype(np.float64)
    steps = np.abs(blocks).max(axis=2, keepdims=True) / 127
    counts = np.divide(blocks, steps, out=np.zeros_like(blocks), where=steps > 0).round()
    rounded: NDArray[np.float64] = (counts * steps).reshape(inputs.shape)
    return rounded


@needs_x86
@needs_compiler
@pytest.mark.parametrize("tokens", [1, 2, 5, 12, 13, 31])
@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_weights_in_the_file(products: ctypes.CDLL, kind: str, tokens: int) -> None:
    name = function(products, kind)
    random = np.random.default_rng(tokens)
    weights = random.normal(0.3, 1.0, (ROWS, COLUMNS)).astype(np.float32)
    inputs = random.normal(0.0, random.uniform(0.1, 9, (tokens, COLUMNS))).astype(np.float32)
    inputs[0, 32:64] = 0.0  # a block of nothing, and one of next to nothing
    inputs[0, 64:96] = 1e-39
    rows = quants.quantize(weights, GGMLQuantizationType[kind])
    exact = quantised(inputs) @ quants.dequantize(rows, GGMLQuantizationType[kind]).astype(np.float64).T
    np.testing.assert_allclose(multiply(products, name, rows, inputs), exact, rtol=2e-4, atol=2e-3 * exact.std())


@needs_x86
@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_comes_to_the_same_bits_in_any_company(products: ctypes.CDLL, kind: str) -> None:
    name = function(products, kind)
    random = np.random.default_rng(1)
    rows = quants.quantize(random.normal(0, 1, (ROWS, COLUMNS)).astype(np.float32), GGMLQuantizationType[kind])
    inputs = random.normal(0, 1, (29, COLUMNS)).astype(np.float32)
    together = multiply(products, name, rows, inputs)
    for index in range(len(inputs)):
        alone = multiply(products, name, rows, inputs[index : index + 1])
        assert (alone[0] == together[index]).all()


@needs_x86
@needs_compiler
def test_the_largest_weights_and_inputs_do_not_overflow(products: ctypes.CDLL) -> None:
    weights = np.tile(np.array([0.0, 15.0], np.float32), (ROWS, COLUMNS // 2))
    rows = quants.quantize(weights, GGMLQuantizationType.Q4_1)
    rows.reshape(ROWS, -1, 20)[:, :, 4:] = 0xFF  # every nibble is 15
    inputs = np.full((3, COLUMNS), 1.0, np.float32)
    inputs[1] = -1.0
    found = multiply(products, "multiply_nibbles", rows, inputs)
    np.testing.assert_allclose(found, inputs @ quants.dequantize(rows, GGMLQuantizationType.Q4_1).T, rtol=1e-5)


# --- in llama.cpp -----------------------------------------------------------------------------------------------------

TEXT = "The tide rises twice a day, because the moon pulls at the sea. " * 3


@pytest.fixture(scope="module")
def built() -> None:
    start()
    if kernels.confidence() is None:
        pytest.skip("this build of llama.cpp has no kernels of ours")


def logits(native: Native) -> Floats:
    tokens = np.array(native.vocabulary.tokenize(TEXT), np.int32)
    native.cut(0, 0)
    return native.evaluate([Work(0, 0, tokens, "every")], Flag()).copy()


def probabilities(rows: Floats) -> NDArray[np.float64]:
    weights = np.exp(rows.astype(np.float64) - rows.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def test_a_model_says_the_same_with_them(gguf: Path, built: None) -> None:
    """Both round the inputs of each product to 8 bits, in slightly different ways."""
    if not kernels.use():
        pytest.skip("there are none for this processor")
    found = []
    for repack in (False, True):
        native = Native(gguf, 512, 1, Tuning.default(build.cores(), repack=repack))
        found.append(logits(native))
        native.close()
    plain, repacked = map(probabilities, found)
    assert (found[0] != found[1]).any(), "special kernels were used"
    assert (plain * np.log(plain / repacked)).sum(axis=1).max() < 0.02
    assert (plain.argmax(axis=1) == repacked.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0, 60.0])
@pytest.mark.parametrize("words", [1, 15, 16, 1024, 1040, 49152])
def test_confidence_is_what_numpy_finds(built: None, spread: float, words: int) -> None:
    read = kernels.confidence()
    assert read
    row = np.random.default_rng(words).normal(3.0, spread, words).astype(np.float32)
    expected, found = sampling._ByNumpy(words)(row), read(row)
    assert (found.top, found.peak, found.second) == (expected.top, expected.peak, expected.second)
    assert found.total == pytest.approx(expected.total, rel=1e-5)
    assert found.expected == pytest.approx(expected.expected, rel=1e-4, abs=1e-6)


def test_of_two_equally_likely_tokens_the_first_is_the_top_and_it_does_not_lead(built: None) -> None:
    row = np.zeros(2000, np.float32)
    row[[700, 1999]] = 5.0
    confidence = Gauge(len(row)).read(row)
    assert (confidence.top, confidence.margin) == (700, 0.0)


def test_masked_tokens_count_as_impossible(built: None) -> None:
    row = np.full(5000, -np.inf, np.float32)
    row[[10, 20]] = [1.0, 1.0]
    confidence = Gauge(len(row)).read(row)
    assert confidence.top == 10
    assert confidence.entropy == pytest.approx(np.log(2), abs=1e-6)
