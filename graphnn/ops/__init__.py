"""The vocabulary: one family a file, one class an op.

An op's file is the whole of it: its constructor, operator, printing, drawing, gradient and samples follow from the
class, and its name in the file's `__all__` makes it public.
"""

from . import (
    activations,
    arithmetic,
    batchnorm,
    choice,
    compare,
    control,
    conv,
    functions,
    indexing,
    linear,
    logic,
    losses,
    normalise,
    pool,
    random,
    recurrent,
    reductions,
    regression,
    shape,
    softmax,
    structure,
    trigonometry,
)
from .activations import *
from .arithmetic import *
from .batchnorm import *
from .choice import *
from .compare import *
from .composite import Composite
from .control import *
from .conv import *
from .elementwise import Elementwise, Map
from .functions import *
from .indexing import *
from .linear import *
from .logic import *
from .losses import *
from .normalise import *
from .pool import *
from .random import *
from .recurrent import *
from .reductions import *
from .regression import *
from .shape import *
from .softmax import *
from .structure import *
from .trigonometry import *

__all__ = [
    "Elementwise", "Composite", "Map",
    *arithmetic.__all__,
    *functions.__all__,
    *trigonometry.__all__,
    *choice.__all__,
    *activations.__all__,
    *compare.__all__,
    *logic.__all__,
    *reductions.__all__,
    *shape.__all__,
    *indexing.__all__,
    *linear.__all__,
    *structure.__all__,
    *softmax.__all__,
    *normalise.__all__,
    *batchnorm.__all__,
    *losses.__all__,
    *regression.__all__,
    *conv.__all__,
    *pool.__all__,
    *recurrent.__all__,
    *random.__all__,
    *control.__all__,
]  # fmt: skip
