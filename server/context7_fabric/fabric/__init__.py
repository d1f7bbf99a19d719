"""The cache fabric: a scoped store of contexts over pluggable backends, free of Context7."""

import os

# What imports qdrant-client or fastembed imports onnxruntime, which writes a device id into the
# user's home and may send events; only this variable, set before the import, keeps it from both.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
