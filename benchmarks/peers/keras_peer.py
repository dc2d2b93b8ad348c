"""The reports' own stack: Keras on TensorFlow, their models as their authors would write them.

    python keras_peer.py MODEL BATCH IMAGES.npy

Prints a line of JSON: images a second in training and in inference, and the peak memory. Needs
nothing of Isthmus; the first epoch, in which graphs are traced, is not counted.
"""

import json
import os
import resource
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers


def conv_pool(shape):
    """Small convolutions, pooling and upsampling; the code is 4 x 4 x 8."""
    same = {"activation": "relu", "padding": "same"}
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, **same),
            layers.MaxPooling2D(2, padding="same"),
            layers.Conv2D(8, 3, **same),
            layers.MaxPooling2D(2, padding="same"),
            layers.Conv2D(8, 3, strides=2, **same),
            layers.Conv2D(8, 3, **same),
            layers.UpSampling2D(2),
            layers.Conv2D(8, 3, **same),
            layers.UpSampling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(shape[-1], 3, activation="sigmoid", padding="same"),
        ]
    )


def conv_bn_2d(shape):
    """Wide convolutions with batch normalization, a code of 2."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(112, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Conv2D(112, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(2, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(4 * 4 * 64, activation="relu"),
            layers.BatchNormalization(),
            layers.Reshape((4, 4, 64)),
            layers.BatchNormalization(),
            layers.UpSampling2D(3),
            layers.Conv2D(112, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.UpSampling2D(3),
            layers.Conv2D(112, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(shape[-1], 1, activation="sigmoid"),
        ]
    )


def conv_transpose(shape):
    """Convolutions and pooling, back with transposed convolutions; a code of 32."""
    parts = [keras.Input(shape)]
    for width in (32, 64, 128, 256):
        parts += [layers.Conv2D(width, 3, padding="same", activation="elu"), layers.MaxPooling2D(2)]
    parts += [layers.Flatten(), layers.Dense(32), layers.Dense(2 * 2 * 256, activation="elu")]
    parts += [layers.Reshape((2, 2, 256))]
    for width in (128, 64, 32):
        parts += [layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="elu")]
    parts += [layers.Conv2DTranspose(shape[-1], 3, strides=2, padding="same")]
    return keras.Sequential(parts)


def dense_selu(shape):
    """784-100-30-100-784 with SELU."""
    size = int(np.prod(shape))
    selu = {"activation": "selu", "kernel_initializer": "lecun_normal"}
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Dense(100, **selu),
            layers.Dense(30, **selu),
            layers.Dense(100, **selu),
            layers.Dense(size, activation="sigmoid"),
            layers.Reshape(shape),
        ]
    )


MODELS = {
    "conv-pool": (conv_pool, "adam", "binary_crossentropy"),
    "conv-bn-2d": (conv_bn_2d, "adam", "binary_crossentropy"),
    "conv-transpose": (conv_transpose, "adamax", "mse"),
    "dense-selu": (dense_selu, keras.optimizers.SGD(1.5), "binary_crossentropy"),
}


class Clock(keras.callbacks.Callback):
    """Notes when epochs begin and end."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        """Begin to count."""
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stop."""
        self.seconds.append(time.perf_counter() - self.began)


def main():
    """Train two epochs and infer twice; report the second of each."""
    name, batch, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    x = np.load(file).astype("float32") / 255
    build, optimizer, loss = MODELS[name]
    keras.utils.set_random_seed(0)
    model = build(x.shape[1:])
    model.compile(optimizer=optimizer, loss=loss)
    clock = Clock()
    model.fit(x, x, batch_size=batch, epochs=2, shuffle=True, verbose=0, callbacks=[clock])
    model.predict(x[: 4 * batch], batch_size=batch, verbose=0)
    began = time.perf_counter()
    model.predict(x, batch_size=batch, verbose=0)
    inferred = time.perf_counter() - began
    print(
        json.dumps(
            {
                "parameters": model.count_params(),
                "train": len(x) / clock.seconds[1],
                "infer": len(x) / inferred,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
                "versions": {"keras": keras.__version__, "tensorflow": keras.backend.backend()},
            }
        )
    )


if __name__ == "__main__":
    main()
