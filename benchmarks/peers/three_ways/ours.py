"""Compress images to 32 numbers, reconstruct them and classify the codes, with Isthmus.

python ours.py IMAGES.npz SEED MODEL

Prints a line of JSON. The lines between the marks are what a user writes.
"""

import json
import sys
import time
from importlib import import_module

import numpy as np

# -- imports
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isthmus.sklearn import Autoencoder

# -- until here

import_module("isthmus.training.train")  # and with it torch, as Keras has imported TensorFlow
arrays = np.load(sys.argv[1])
names = ("x_train", "y_train", "x_test", "y_test")
X_train, y_train, X_test, y_test = (arrays[name] for name in names)
seed, model = int(sys.argv[2]), sys.argv[3]
began = time.process_time()
# -- the job
autoencoder = Autoencoder(model, code_size=32, epochs=10, random_state=seed).fit(X_train)
z, z_test = autoencoder.transform(X_train), autoencoder.transform(X_test)
mse = -autoencoder.score(X_test) / 255**2
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
accuracy = classifier.fit(z, y_train).score(z_test, y_test)
# -- its end
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "mse": float(mse), "accuracy": float(accuracy)}))
