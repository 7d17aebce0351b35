"""A small server that speaks TensorFlow Serving's protocols, REST and gRPC, and runs a SavedModel.

It follows util/json_tensor.cc, servables/tensorflow/predict_util.cc and saved_model_warmup_util.cc there: REST
requests must name all inputs, gRPC requests may leave out those that have a default; outputs called *_bytes are base64;
warm-up requests run before the model is available.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

WARM_UP = "assets.extra/tf_serving_warmup_requests"


class RequestError(Exception):
    """What the server answers with an error."""


class Servable:
    """A SavedModel as a server sees it: `base` holds folders whose names are versions, and the newest is served."""

    def __init__(self, base: Path) -> None:
        versions = [int(path.name) for path in base.iterdir() if path.name.isdigit()]
        self.folder = base / str(max(versions))
        saved = SavedModel.FromString((self.folder / "saved_model.pb").read_bytes())
        (graph,) = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
        self.definitions = {name: one for name, one in graph.signature_def.items() if not name.startswith("__")}
        self._loaded = tf.saved_model.load(str(self.folder), tags=["serve"])
        self.warmed = self._warm_up()

    def _warm_up(self) -> list[str]:
        """Run the warm-up requests; returns the signatures that they asked."""
        asked = []
        for record in tf.data.TFRecordDataset(str(self.folder / WARM_UP)).as_numpy_iterator():
            log = PredictionLog.FromString(record)
            assert log.WhichOneof("log_type") == "predict_log"
            self.predict_by_proto(log.predict_log.request)
            asked.append(log.predict_log.request.model_spec.signature_name)
        return asked

    def definition(self, name: str) -> Any:
        if name not in self.definitions:
            raise RequestError(f'Serving signature key "{name}" not found.')
        assert self.definitions[name].method_name == "tensorflow/serving/predict"
        return self.definitions[name]

    def predict(self, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        definition = self.definition(name)
        tensors = {}
        for key, value in inputs.items():
            if key not in definition.inputs:
                raise RequestError(f"Inputs contains invalid name {key}")
            wanted = tf.TensorShape(definition.inputs[key].tensor_shape)
            if not wanted.is_compatible_with(value.shape):
                raise RequestError(f"Cannot feed value of shape {value.shape} for {key}, which has shape {wanted}")
            tensors[key] = tf.constant(value, tf.as_dtype(definition.inputs[key].dtype))
        try:
            return {key: value.numpy() for key, value in self._loaded.signatures[name](**tensors).items()}
        except tf.errors.OpError as error:
            raise RequestError(error.message) from None

    def predict_by_proto(self, request: Any) -> dict[str, np.ndarray]:
        name = request.model_spec.signature_name or "serving_default"
        definition = self.definition(name)
        protos = {**definition.defaults, **request.inputs}
        missing = set(definition.inputs) - set(protos)
        if missing:
            raise RequestError(f"Signature input alias: {missing} not found in request and no default value provided")
        return self.predict(name, {key: tf.make_ndarray(proto) for key, proto in protos.items()})

    def predict_by_json(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body.get("signature_name", "serving_default")
        definition = self.definition(name)
        wanted = set(definition.inputs)
        if "instances" in body:
            rows = body["instances"]
            if isinstance(rows[0], dict) and "b64" not in rows[0]:
                for row in rows:
                    if set(row) != wanted:
                        raise RequestError(f"Failed to process element: keys must be equal to: {sorted(wanted)}")
                columns = {key: [row[key] for row in rows] for key in wanted}
            elif len(wanted) == 1:
                columns = {next(iter(wanted)): rows}
            else:
                raise RequestError("instances is a plain list, but expecting list of objects")
        else:
            columns = body["inputs"]
            if len(wanted) > 1 and not isinstance(columns, dict):
                raise RequestError("inputs is a plain value/list, but expecting an object")
            if not isinstance(columns, dict) or "b64" in columns:
                columns = {next(iter(wanted)): columns}
            for key in wanted - set(columns):
                raise RequestError(f"Missing named input: {key} in 'inputs' object.")
        arrays = {key: self._array(columns[key], definition.inputs[key].dtype) for key in wanted}
        made = {key: _as_json(key, value) for key, value in self.predict(name, arrays).items()}
        single = next(iter(made.values())) if len(made) == 1 else None
        if "inputs" in body:
            return {"outputs": made if single is None else single}
        if single is not None:
            return {"predictions": single}
        rows = range(len(next(iter(made.values()))))
        return {"predictions": [{key: value[row] for key, value in made.items()} for row in rows]}

    @staticmethod
    def _array(value: Any, kind: int) -> np.ndarray:
        if tf.as_dtype(kind) != tf.string:
            return np.array(value, tf.as_dtype(kind).as_numpy_dtype)
        return np.array([base64.b64decode(one["b64"]) if isinstance(one, dict) else one for one in value], object)


def _as_json(name: str, value: np.ndarray) -> Any:
    if value.dtype != object:
        return value.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(one).decode()} for one in value]
    return [one.decode() for one in value]


class Addresses(NamedTuple):
    """Where a fake server listens."""

    url: str
    grpc: str
    servable: Servable


@contextlib.contextmanager
def serving(base: Path, name: str = "restorer") -> Iterator[Addresses]:
    """Serve the newest version of the model in `base` on this machine."""
    servable = Servable(base)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/v1/models/{name}":
                status = {"version": servable.folder.name, "state": "AVAILABLE", "status": {"error_code": "OK"}}
                self._answer(200, {"model_version_status": [status]})
            elif self.path == f"/v1/models/{name}/metadata":
                found = {
                    key: MessageToDict(one, preserving_proto_field_name=True)
                    for key, one in servable.definitions.items()
                }
                self._answer(
                    200, {"model_spec": {"name": name}, "metadata": {"signature_def": {"signature_def": found}}}
                )
            else:
                self._answer(404, {"error": "Servable not found for request"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{name}:predict":
                self._answer(404, {"error": f"Servable not found for request: Latest({self.path})"})
                return
            try:
                self._answer(200, servable.predict_by_json(body))
            except RequestError as error:
                self._answer(400, {"error": str(error)})

        def _answer(self, code: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Service(PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> PredictResponse:  # noqa: N802 (its name)
            if request.model_spec.name != name:
                context.abort(
                    grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({request.model_spec.name})"
                )
            try:
                made = servable.predict_by_proto(request)
            except RequestError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = PredictResponse()
            for key, value in made.items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return response

    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    remote = grpc.server(ThreadPoolExecutor(2))
    add_PredictionServiceServicer_to_server(Service(), remote)
    port = remote.add_insecure_port("127.0.0.1:0")
    remote.start()
    try:
        yield Addresses(f"http://127.0.0.1:{rest.server_address[1]}", f"127.0.0.1:{port}", servable)
    finally:
        rest.shutdown()
        rest.server_close()
        remote.stop(None)
