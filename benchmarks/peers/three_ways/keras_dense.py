"""Compress images to 32 numbers, reconstruct them and classify the codes, with Keras.

python keras_dense.py IMAGES.npz

Prints a line of JSON. The lines between the marks are what a user writes.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# -- imports
import keras
import numpy as np
from keras import layers

# -- until here

arrays = np.load(sys.argv[1])
names = ("x_train", "y_train", "x_test", "y_test")
X_train, y_train, X_test, y_test = (arrays[name] for name in names)
seed = int(sys.argv[2])
began = time.process_time()
# -- the job
keras.utils.set_random_seed(seed)
x = X_train.reshape(len(X_train), -1).astype("float32") / 255
x_test = X_test.reshape(len(X_test), -1).astype("float32") / 255
encoder = keras.Sequential(
    [
        keras.Input((x.shape[1],)),
        layers.Dense(512, activation="gelu"),
        layers.Dense(128, activation="gelu"),
        layers.Dense(32),
    ]
)
decoder = keras.Sequential(
    [
        keras.Input((32,)),
        layers.Dense(128, activation="gelu"),
        layers.Dense(512, activation="gelu"),
        layers.Dense(x.shape[1], activation="sigmoid"),
    ]
)
autoencoder = keras.Sequential([encoder, decoder])
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
best = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
options = {"epochs": 10, "batch_size": 256, "validation_split": 0.1, "verbose": 0}
autoencoder.fit(x, x, callbacks=[best], **options)
z = encoder.predict(x, verbose=0)
z_test = encoder.predict(x_test, verbose=0)
images = decoder.predict(z_test, verbose=0)
mse = np.mean((images - x_test) ** 2)
scale = layers.Normalization()
scale.adapt(z)
classifier = keras.Sequential([scale, layers.Dense(10, activation="softmax")])
classifier.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
classifier.fit(z, y_train, epochs=30, batch_size=256, verbose=0)
accuracy = classifier.evaluate(z_test, y_test, verbose=0)[1]
# -- its end
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "mse": float(mse), "accuracy": float(accuracy)}))
