"""A run's restorer as a model that works without this package: SavedModel, TFLite, ONNX, and a page for browsers.

`export` is where the command begins. There is one file for each format: `saved_model`, `tflite`, `onnx`, `web`.

What they have in common: `operations` decides which operators the network uses while it is traced, `portable` is the
function that TFLite and ONNX hold, `faces` and `comparison` check what was made against the Keras model, `interface`
and `card` say in words what a model takes and gives. `signatures`, `encoded` and `warm_up` are what a SavedModel has
beside that; `onnx_float16` is ONNX's other precision. `page/` is the page, `web_runtime` what runs in it.
"""
