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
    einsum,
    elements,
    functions,
    gathering,
    gemm,
    indexing,
    joining,
    linear,
    logic,
    losses,
    maxpool,
    measures,
    normalise,
    padding,
    pool,
    random,
    ranking,
    rectifiers,
    recurrent,
    reductions,
    regression,
    reshaping,
    scans,
    shape,
    slicing,
    softmax,
    structure,
    subscript,
    triangle,
    trigonometry,
    truth,
)
from .activations import *
from .arithmetic import *
from .batchnorm import *
from .choice import *
from .compare import *
from .composite import Composite
from .control import *
from .conv import *
from .einsum import *
from .elements import *
from .elementwise import Elementwise, Map
from .functions import *
from .gathering import *
from .gemm import *
from .indexing import *
from .joining import *
from .linear import *
from .logic import *
from .losses import *
from .maxpool import *
from .measures import *
from .normalise import *
from .padding import *
from .pool import *
from .random import *
from .ranking import *
from .rectifiers import *
from .recurrent import *
from .reductions import *
from .regression import *
from .reshaping import *
from .scans import *
from .shape import *
from .slicing import *
from .softmax import *
from .structure import *
from .triangle import *
from .trigonometry import *
from .truth import *

__all__ = [
    "Elementwise", "Composite", "Map",
    *arithmetic.__all__,
    *functions.__all__,
    *trigonometry.__all__,
    *choice.__all__,
    *activations.__all__,
    *rectifiers.__all__,
    *compare.__all__,
    *logic.__all__,
    *reductions.__all__,
    *truth.__all__,
    *measures.__all__,
    *scans.__all__,
    *ranking.__all__,
    *shape.__all__,
    *reshaping.__all__,
    *joining.__all__,
    *slicing.__all__,
    *padding.__all__,
    *triangle.__all__,
    *indexing.__all__,
    *gathering.__all__,
    *elements.__all__,
    *subscript.__all__,
    *linear.__all__,
    *einsum.__all__,
    *gemm.__all__,
    *structure.__all__,
    *softmax.__all__,
    *normalise.__all__,
    *batchnorm.__all__,
    *losses.__all__,
    *regression.__all__,
    *conv.__all__,
    *maxpool.__all__,
    *pool.__all__,
    *recurrent.__all__,
    *random.__all__,
    *control.__all__,
]  # fmt: skip
