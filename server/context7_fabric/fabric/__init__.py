"""The cache fabric: a scoped store of contexts over pluggable backends, free of Context7."""

import os

# qdrant-client and fastembed import onnxruntime, which writes a device id into the user's home and
# may send events. Only this variable, set before the import, prevents both.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
