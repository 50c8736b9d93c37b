"""An operation of TensorFlow that the converter to ONNX does not know."""

from functools import cache
from typing import Any


@cache
def add_operations() -> None:
    """Teach the converter ``Erfc``, which TensorFlow computes the exact GELU with: ``erfc(x) = 1 - erf(x)``.

    It holds for this process. Without it no transformer and no ConvNeXt can be converted.
    """
    import numpy as np
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
            """Replace it by two operations; ONNX has ``Erf`` from this version on."""
            (given,), (result,), shapes, dtypes = node.input, node.output, node.output_shapes, node.output_dtypes
            graph.remove_node(node.name)
            erf = graph.make_node("Erf", [given], op_name_scope=node.name, shapes=shapes, dtypes=dtypes)
            one = graph.make_const(f"{node.name}_one", np.array(1.0, np.float32))
            parts = [one.output[0], erf.output[0]]
            graph.make_node("Sub", parts, outputs=[result], name=node.name, shapes=shapes, dtypes=dtypes)
