"""The weights file of ``keras.applications.VGG19``, for contestants that Keras cannot load it into."""

import h5py
import numpy as np


def read_kernels(path: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read kernel (height, width, channels in, channels out) and bias of each convolution, from the image up."""
    kernels = []
    with h5py.File(path) as file:
        # block1_conv1 to block5_conv4 are in alphabetical order; the pools among them have no weights.
        for _, layer in sorted(file.items()):
            arrays = [layer[name][()] for name in layer.attrs["weight_names"]]
            if arrays:
                kernels.append(tuple(arrays))
    return kernels
