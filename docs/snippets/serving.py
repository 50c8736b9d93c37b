"""The example of serving: a service, a client, and scores without both."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

from melanoma_tl import ISBIDataset, TransferClassifier
from melanoma_tl.datasets import write_isbi

SERVE = Path(__file__).parents[2] / "examples" / "serve.py"
with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]

write_isbi("data/isbi", n_train=60, n_validation=10, n_test=20, size=48)
challenge = ISBIDataset.from_challenge("data/isbi", year=2016, split="train")
train, validation = challenge.split(0.3, random_state=0)
clf = TransferClassifier("vgg19", epochs=1, random_state=0).fit(train)
lesion = train.paths[0]

# --8<-- [start:export]
clf.set_params(precision="float32")
clf.tune_threshold(validation, sensitivity=0.9)
clf.export("melanoma.onnx")
# --8<-- [end:export]

# --8<-- [start:exported]
from melanoma_tl.saving import ExportedClassifier

classifier = ExportedClassifier("melanoma.onnx")
scores = classifier.predict_proba([lesion])[:, 1]  # of melanoma
print(scores, classifier.predict([lesion]))
# --8<-- [end:exported]

command = [sys.executable, str(SERVE), "melanoma.onnx", "--port", str(PORT)]
server = subprocess.Popen(command)  # noqa: S603
url = f"http://127.0.0.1:{PORT}"
try:
    for _ in range(600):
        try:
            requests.get(f"{url}/health", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    # --8<-- [start:client]
    content = Path(lesion).read_bytes()
    answer = requests.post(f"{url}/score", data=content, timeout=60)
    if answer.ok:
        told = answer.json()
        print(told["score"], told["class"])
    else:
        print("not scored:", answer.status_code, answer.text)
    # --8<-- [end:client]
finally:
    server.terminate()
    server.wait(60)
