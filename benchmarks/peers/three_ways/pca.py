"""Compress images to 32 numbers, reconstruct them and classify the codes, with PCA.

python pca.py IMAGES.npz

Prints a line of JSON. The lines between the marks are what a user writes.
"""

import json
import sys
import time

# -- imports
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# -- until here

arrays = np.load(sys.argv[1])
names = ("x_train", "y_train", "x_test", "y_test")
X_train, y_train, X_test, y_test = (arrays[name] for name in names)
seed = int(sys.argv[2])
began = time.process_time()
# -- the job
x = X_train.reshape(len(X_train), -1) / 255
x_test = X_test.reshape(len(X_test), -1) / 255
pca = PCA(32, random_state=seed).fit(x)
z, z_test = pca.transform(x), pca.transform(x_test)
mse = np.mean((pca.inverse_transform(z_test) - x_test) ** 2)
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
accuracy = classifier.fit(z, y_train).score(z_test, y_test)
# -- its end
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "mse": float(mse), "accuracy": float(accuracy)}))
