"""The whole compiler, on one page: declare -> Graph -> passes -> schedule -> plan -> bind -> Executable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .backends.registry import find_backend
from .errors import GraphError
from .executable import Executable
from .ir.collector import collector_paused
from .ir.graph import Graph, Outputs
from .ir.leaf import Parameter
from .ir.node import Node
from .plan.checking import checking, demand_same_plan
from .plan.memory import make_plan
from .runtime.budget import Budget
from .runtime.compiled import Stage
from .transform.group import group
from .transform.memo import remembering
from .transform.passes import Pass, select
from .transform.precision import precision_pass

__all__ = ["compile"]


def compile(
    outputs: Outputs,
    updates: Mapping[Parameter, Node] | None = None,
    *,
    backend: str = "numpy",
    passes: str | Sequence[Pass] = "default",
    check_finite: str | None = "loss",
    memory_budget: int | str | tuple[int | str, Mapping[str, int]] | None = None,
    wait: bool = True,
    precision: str | None = None,
) -> Executable:
    """Compile outputs, and updates of parameters, into an `Executable`: a function of the inputs by name.

    - `outputs` is a node, a sequence or a mapping of nodes; results have the same form.
    - `updates` maps parameters to their next values. All updates are computed from the old values, and are written
      together after the outputs are computed.
    - `backend` is one of the names in `gn.backends()`.
    - `passes` is "default", "exact" (only passes that keep every bit), "none", or a sequence of passes.
    - `check_finite` says what is watched for NaN and infinity: "loss" (the scalar outputs of a program with updates),
      "all" (every node), or None.
    - With `wait=False`, a native program begins on NumPy, and changes to machine code when that is compiled.

    `memory_budget` is a number of bytes, or text such as "32MiB". The arena, the state, the constants and, in a loop,
    its buffers then stay within it, or an error is raised. If need be, the steps run in another order, and values are
    computed again instead of being kept; the bits stay the same. This is decided for named sizes when they are first
    fed. It is decided at once for sizes that are given with the budget, as in `("32MiB", {"N": 256})`, and for a
    program without named sizes.

    `precision` is None (everything is computed in its declared dtype), or for a graph of float32, "mixed_float16" or
    "mixed_bfloat16". Then products read operands of 16 bits, values for the backward half are kept in 16 bits, and
    weights stay float32; give the optimiser `scaling=gn.LossScaling()` for float16. On the cupy backend, it may also be
    "tf32" or "bf16": tensor cores compute products of float32 with 10 or 7 bits of each factor's mantissa.

    Raises:
        GraphError: for a cycle, a duplicate name, an update of another node than a parameter, or an unknown option.
        ShapeError: when an update has another spec than its parameter.
        DTypeError: when `precision` asks for float32 weights and a weight has another float dtype.
        BackendError: when the backend does not work on this machine, or when the budget is too small; the message then
            names the smallest budget found.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N",))
    >>> f = gn.compile({"total": gn.Sum(x), "double": x + x})
    >>> f(x=[1, 2, 3])
    {'total': array(6., dtype=float32), 'double': array([2., 4., 6.], dtype=float32)}
    """
    if check_finite not in ("loss", "all", None):
        raise GraphError(f'check_finite {check_finite!r} is none of "loss", "all", None.')
    budget = None if memory_budget is None else Budget.read(memory_budget)
    chosen = find_backend(backend)

    with collector_paused():
        declared = Graph(outputs, updates)
        taken = select(passes, chosen.passes)
        if check_finite == "all" and isinstance(passes, str):
            taken = tuple(p for p in taken if not p.fuses)  # values inside a fused step could not be watched
        bind = chosen.bind if wait or chosen.begin is None else chosen.begin
        if precision is not None and precision in chosen.precisions:
            bind = chosen.precisions[precision]
        elif precision is not None:
            taken = _with(precision_pass(precision), taken)
        stages = _stages(declared, taken)
        plan = make_plan(stages[-1].graph)
        if checking():
            demand_same_plan(plan, lambda: make_plan(_stages(declared, taken)[-1].graph))
        program = bind(plan, check_finite)
    f = Executable(outputs, stages, plan, program, backend)
    if budget is not None:
        f.keep_within(budget, lambda plan: bind(plan, check_finite))
    return f


def _with(policy: Pass, passes: Sequence[Pass]) -> tuple[Pass, ...]:
    """The passes with that of a precision: last, but before elementwise steps are fused, so that backends agree."""
    at = passes.index(group) if group in passes else len(passes)
    return (*passes[:at], policy, *passes[at:])


def _stages(declared: Graph, passes: Sequence[Pass]) -> list[Stage]:
    """The stages: the graph as declared, and after each pass."""
    stages = [Stage("declared", "", declared)]
    with remembering():
        for p in passes:
            graph, record = p.run(stages[-1].graph)
            stages.append(Stage(p.name, p.numerics, graph, record, p))
    return stages
