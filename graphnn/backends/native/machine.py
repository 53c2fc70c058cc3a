"""The machine: LLVM for the processor at hand. Text goes in, the address of a function comes out, each text once."""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from typing import Any

from ...plan.checking import checking
from .cache import find_cache

__all__ = ["Machine", "machine"]

_PASSES = ("sroa", "instruction_combine", "simplify_cfg", "loop_rotate")
"""What kernels need of LLVM: they are written in vectors, unrolled, and their parts shared. Its usual pipeline takes
twice the time, for code of the same speed."""
_LEVEL = 2
"""How much code generation optimises, of 3."""


class Machine:
    """A target, an engine that holds the code, and every kernel compiled so far by its text."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm  # type: ignore[import-untyped]

        self._llvm: Any = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.triple = llvm.get_process_triple()
        self.processor = llvm.get_host_cpu_name()
        features = llvm.get_host_cpu_features()
        self.features = features.flatten()
        self.fused_multiply_add = bool(features.get("fma") or features.get("neon")) or "aarch64" in self.triple
        self.masks = bool(features.get("avx2"))
        """Can it load and store parts of a vector?"""
        target = llvm.Target.from_triple(self.triple)
        self._target = target.create_target_machine(cpu=self.processor, features=self.features, opt=_LEVEL)
        holder = llvm.parse_assembly("")
        self._engine = llvm.create_mcjit_compiler(holder, target.create_target_machine(cpu=self.processor, opt=_LEVEL))
        self._addresses: dict[str, int] = {}
        self._lock = threading.Lock()
        version = ".".join(map(str, llvm.llvm_version_info))
        self._cache = find_cache("\n".join((version, self.triple, self.processor, self.features)))
        self.compiled = 0
        """How many kernels were compiled, rather than found in the cache."""

    def address(self, text: str) -> int:
        """The address of a kernel, compiled if it is new."""
        with self._lock:
            found = self._addresses.get(text)
            if found is None:
                found = self._addresses[text] = self._load(text)
            return found

    def _load(self, text: str) -> int:
        name = "kernel_" + hashlib.sha256(text.encode()).hexdigest()[:32]
        named = text.replace("@kernel(", f"@{name}(")
        code = self._cache.get(named) if self._cache else None
        if code is None:
            code = self._target.emit_object(self.optimised(named))
            self.compiled += 1
            if self._cache:
                self._cache.put(named, code)
        self._engine.add_object_file(self._llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        return int(self._engine.get_function_address(name))

    def optimised(self, text: str) -> Any:
        """The module, after some of LLVM's own passes."""
        llvm = self._llvm
        module = llvm.parse_assembly(text)
        module.triple, module.data_layout = self.triple, str(self._target.target_data)
        if checking():
            module.verify()
        passes = llvm.create_new_function_pass_manager()
        for name in _PASSES:
            getattr(passes, f"add_{name}_pass")()
        builder = llvm.create_pass_builder(self._target, llvm.create_pipeline_tuning_options())
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)
        return module

    def assembly(self, text: str) -> str:
        """The machine code of a kernel, as text."""
        with self._lock:
            return str(self._target.emit_assembly(self.optimised(text)))


@cache
def machine() -> Machine:
    """The one machine of this process."""
    return Machine()
