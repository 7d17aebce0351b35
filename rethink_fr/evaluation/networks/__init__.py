"""The networks whose features metrics compare: published ones, ONNX files, and the codes of a trained run."""
