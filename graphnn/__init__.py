"""graphnn: a dataflow graph compiler and executor for neural networks.

Declare a static graph of nodes, differentiate it, compile it, and run it: whole training loops at once. The names
below stand in the order of that pipeline.
"""

from importlib import import_module
from sys import modules

from . import testing
from .backends.registry import backends
from .compile import compile
from .debug.repro import write_repro
from .errors import *
from .executable import Executable
from .ir.context import scope
from .ir.differentiate import grad
from .ir.dtype import default_dtype
from .ir.graph import Graph
from .ir.leaf import Constant, Count, Input, Parameter
from .ir.node import Node
from .ir.spec import Size, Spec
from .ops import *
from .ops.sample import Sample, refused, sample
from .ops.structure import stop_gradient
from .train import data, metrics, nn, schedules
from .train.adaptive import AdaGrad, Adam, AdamW, RMSprop
from .train.averaging import Average
from .train.callbacks import Checkpoint, CSVLog, EarlyStopping
from .train.checkpoint import load, save
from .train.model import Model, load_model
from .train.optim import SGD, Group, Momentum, Nesterov, Optimizer
from .train.scaling import LossScaling
from .train.sweep import sweep
from .train.trainer import Trainer
from .transform.passes import Pass, Rules, rewrite
from .view import plot
from .view.derive import Derivation, derive
from .view.passes import render_passes

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Parts that need a library of their own are imported when they are named."""
    if name == "sklearn":
        return import_module(".interop.sklearn", __name__)
    # With the module beside the name, Python finds the one that was meant: "Did you mean: 'ReLU'?"
    raise AttributeError(f"module 'graphnn' has no attribute {name!r}", name=name, obj=modules[__name__])
