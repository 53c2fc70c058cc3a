"""Kernels for other processors and systems: their text becomes object code there, which asks for nothing but the
C library; and without masks, as on ARM, it computes what NumPy does."""

import json

import pytest

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

TARGETS = {
    "aarch64-unknown-linux-gnu": "generic",
    "arm64-apple-macosx": "apple-m1",
    "x86_64-pc-windows-msvc": "x86-64-v3",
}
C_LIBRARY = {"memcpy", "memset", "sin", "cos", "erf", "erfc", "fmod", "pow"}
SYSTEM = {"__chkstk"}
"""What Windows asks for where a kernel has much memory of its own; LLVM brings it."""

PROGRAM = """
import json, re
import llvmlite.binding as llvm
import numpy as np
import graphnn as gn
from graphnn.backends.native.machine import machine

triple, processor, masks = {arguments!r}
here = machine()
here.masks = masks == "masks"

def net(backend):
    rng = np.random.default_rng(0)
    words, t = gn.Input("words", ("N", 5), dtype="int64"), gn.Input("t", ("N",), dtype="int64")
    E, W = gn.Parameter("E", rng.normal(size=(9, 4))), gn.Parameter("W", rng.normal(size=(20, 3)))
    x = gn.Dropout(gn.GELU(gn.Reshape(gn.Embedding(words, E), ("N", 20))), 0.2, seed=1)
    y = gn.LayerNorm(x, np.ones(20, "float32"), np.zeros(20, "float32")) @ W
    loss, best = gn.SoftmaxCE(y, t), next(iter(gn.TopK(y, 2)))
    outputs = {{"loss": loss, "best": gn.Sum(gn.Sin(best)), "last": gn.Max(gn.CumSum(best.cast(np.dtype("float16"))))}}
    f = gn.compile(outputs, gn.Adam().updates(loss), backend=backend)
    data = {{"words": rng.integers(0, 9, (23, 5)), "t": rng.integers(0, 3, 23)}}
    return f, f.loop(data, batch_size=8, epochs=2, shuffle=0)

f, found = net("native")
for name, values in net("numpy")[1].items():
    np.testing.assert_allclose(found[name], values, rtol=1e-2 if name == "last" else 1e-3)

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
code = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=2)
here.triple, here._target = triple, code
names, kernels = set(), f._program._kernels()
for text in kernels:
    module = here.optimised(text)
    assert len(code.emit_object(module)) > 100
    assembly = code.emit_assembly(module)
    names |= set(re.findall(r"^\\s+(?:bl|callq?)\\s+(\\w+)", assembly, re.M))
    far = re.findall(r"movabsq\\s+\\$([A-Za-z_]\\w*), |\\b_(\\w+)@GOTPAGE\\b", assembly)
    names |= {{"".join(pair) for pair in far}}
print(json.dumps([len(kernels), sorted(names)]))
"""


@pytest.mark.parametrize("triple", [t if "windows" in t else pytest.param(t, marks=pytest.mark.slow) for t in TARGETS])
def test_every_kernel_becomes_code_that_asks_for_the_c_library_alone(triple, run_python):
    masks = "masks" if triple.startswith("x86") else ""
    said = run_python(PROGRAM.format(arguments=[triple, TARGETS[triple], masks]))
    count, names = json.loads(said)
    needed = {name.removesuffix("f") if name.removesuffix("f") in C_LIBRARY else name for name in names}
    assert count > 30 and "sin" in needed
    assert needed <= C_LIBRARY | SYSTEM
