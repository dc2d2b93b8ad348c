"""Compress images to 32 numbers, reconstruct them and classify the codes, with `MLPRegressor`.

python mlp.py IMAGES.npz

Prints a line of JSON. The lines between the marks are what a user writes.
"""

import json
import sys
import time

# -- imports
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# -- until here

arrays = np.load(sys.argv[1])
names = ("x_train", "y_train", "x_test", "y_test")
X_train, y_train, X_test, y_test = (arrays[name] for name in names)
seed = int(sys.argv[2])
began = time.process_time()
# -- the job
x = X_train.reshape(len(X_train), -1).astype("float32") / 255
x_test = X_test.reshape(len(X_test), -1).astype("float32") / 255
hidden = (512, 128, 32, 128, 512)
options = {"batch_size": 256, "max_iter": 10, "early_stopping": True}
autoencoder = MLPRegressor(hidden_layer_sizes=hidden, **options, random_state=seed).fit(x, x)


def encode(x):  # noqa: D103 - as a user writes it
    for weights, bias in zip(autoencoder.coefs_[:3], autoencoder.intercepts_[:3], strict=True):
        x = np.maximum(x @ weights + bias, 0)
    return x


z, z_test = encode(x), encode(x_test)
mse = np.mean((autoencoder.predict(x_test) - x_test) ** 2)
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
accuracy = classifier.fit(z, y_train).score(z_test, y_test)
# -- its end
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "mse": float(mse), "accuracy": float(accuracy)}))
