"""Formats of exported networks, without PyTorch."""

# Each format with its ending and required packages.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "safetensors": (".safetensors", ("safetensors",)),
    "onnx": (".onnx", ("onnx", "onnxscript", "onnxruntime")),
    "torch_export": (".pt2", ()),
}
