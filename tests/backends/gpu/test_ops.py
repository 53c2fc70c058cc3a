"""Every op on the CuPy backend: the text of its kernels, run on the CPU or a GPU, against NumPy."""

import numpy as np
import pytest

from graphnn.backends.cupy.device import OPTIONS
from graphnn.backends.cupy.types import PRELUDE
from graphnn.ir.node import Node
from graphnn.testing import Trial
from graphnn.testing.ops import SIZES, samples_of

from . import nvrtc
from .conftest import DEVICES, cpu_instead, real_gpu

OPS = {name: op for name, op in Node.ops.items() if op.__module__.startswith("graphnn.") and op.samples}
pytestmark = pytest.mark.usefixtures("compiled_once_more")
SAMPLES = {
    f"{name}-{i}": (op, one) for name, op in OPS.items() for i, one in enumerate(samples_of(op)) if one.error is None
}


@pytest.fixture(scope="module", params=DEVICES)
def trials(request):
    """Each op on each of its samples, bound for all sizes: so the compiler is started once, for all kernels."""
    device = cpu_instead(request.getfixturevalue("cpu_library")) if request.param == "cpu" else real_gpu()
    with device, pytest.MonkeyPatch.context() as patch:
        patch.delenv("GRAPHNN_CHECK", raising=False)
        made = {name: Trial(op, one) for name, (op, one) in SAMPLES.items()}
        for trial in made.values():
            for sizes in SIZES:
                graph = trial.program("cupy").graph
                trial.program("cupy")._program.bound({name: at_least(trial, sizes)[name] for name in graph.sizes})
        yield made


def at_least(trial, sizes):
    return {name: max(n, trial.one.least.get(name, 0)) for name, n in sizes.items()}


@pytest.mark.parametrize("name", SAMPLES)
def test_value_and_both_derivatives_are_those_of_numpy(name, trials):
    trial = trials[name]
    for sizes in SIZES:
        feeds = trial.feeds(at_least(trial, sizes))
        expected = trial.run(feeds)
        for output, value in trial.run(feeds, "cupy").items():
            assert value.dtype == expected[output].dtype
            np.testing.assert_allclose(value, expected[output], 1e-9, 1e-9, err_msg=output)


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(16, id="a16th")])
def test_the_compiler_for_gpus_takes_every_kernel_without_a_word(trials, cpu_library, each):
    library = nvrtc.load()
    if library is None:
        pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")
    texts = [text for name, (text, _, _) in sorted(cpu_library.texts.items())][::each]
    said = nvrtc.compile_cuda(library, "\n".join([PRELUDE, *texts]), [*OPTIONS, "--gpu-architecture=compute_80"])
    assert not said


def test_no_step_runs_on_numpy(trials):
    assert not {node.op for trial in trials.values() for node in trial.program("cupy")._program._bindings.any().reasons}
