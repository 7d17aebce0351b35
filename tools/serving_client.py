"""Restores photos of aligned faces by TensorFlow Serving, over REST or gRPC: an example to copy from.

    python tools/serving_client.py face.jpg other.png --output restored
    python tools/serving_client.py face.jpg --grpc localhost:8500 --seed 3 --noise-scale 0.5 --output restored

It asks the signature `restore_bytes` of a model that `rethink-fr export --format saved_model` made (docs/serving.md):
files go in as they are, PNG files come back. REST needs Python alone; gRPC needs grpcio and tensorflow-serving-api.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

SIGNATURE = "restore_bytes"
_SECONDS = 300  # a large network on a processor takes half a minute for a face
_MOST_BYTES = 64 << 20  # of a gRPC message; 4 MB is its default

# A photo's bytes and values such as {"seed": 3} -> PNG files by the names of the outputs
Restore = Callable[[bytes, Dict[str, float]], Dict[str, bytes]]


class ServingError(Exception):
    """What the server answered instead of pictures, in one line."""


def rest_client(url: str, model: str) -> Restore:
    """Ask over REST; `url` is that of the server, such as http://localhost:8501.

    REST requests have to name every input of a signature, so the model is asked for them first.
    """
    address = f"{url.rstrip('/')}/v1/models/{model}"
    signatures = _json(f"{address}/metadata")["metadata"]["signature_def"]["signature_def"]
    if SIGNATURE not in signatures:
        raise ServingError(f"{model} has no signature {SIGNATURE}; it was not made by `rethink-fr export`")
    defaults = {"seed": 0, "noise_scale": 1.0, "fidelity": 1.0}
    needed = [name for name in signatures[SIGNATURE]["inputs"] if name != "image_bytes"]

    def restore(photo: bytes, values: Dict[str, float]) -> Dict[str, bytes]:
        _check(values, needed)
        inputs: Dict[str, Any] = {name: [values.get(name, defaults[name])] for name in needed}
        inputs["image_bytes"] = [{"b64": base64.b64encode(photo).decode()}]
        answer = _json(f"{address}:predict", {"signature_name": SIGNATURE, "inputs": inputs})["outputs"]
        # A single output comes without its name.
        outputs = answer if isinstance(answer, dict) else {"restored_bytes": answer}
        return {name: base64.b64decode(files[0]["b64"]) for name, files in outputs.items()}

    return restore


def grpc_client(address: str, model: str) -> Restore:
    """Ask over gRPC; `address` is that of the server, such as localhost:8500. Inputs with defaults may be left out."""
    import grpc
    from tensorflow import make_tensor_proto
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    options = [("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.max_send_message_length", _MOST_BYTES)]
    stub = PredictionServiceStub(grpc.insecure_channel(address, options))
    types = {"seed": "int64", "noise_scale": "float32", "fidelity": "float32"}

    def restore(photo: bytes, values: Dict[str, float]) -> Dict[str, bytes]:
        request = PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, SIGNATURE
        request.inputs["image_bytes"].CopyFrom(make_tensor_proto([photo]))
        for name, value in values.items():
            request.inputs[name].CopyFrom(make_tensor_proto([value], types[name]))
        try:
            response = stub.Predict(request, _SECONDS)
        except grpc.RpcError as error:
            raise ServingError(_first_line(error.details())) from None
        return {name: tensor.string_val[0] for name, tensor in response.outputs.items()}

    return restore


def main(arguments: Optional[List[str]] = None) -> int:
    """Restore each photo; those that cannot be restored are listed, and the others are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--output", required=True, type=Path, help="folder for the results")
    parser.add_argument("--url", default="http://localhost:8501", help="of the server, for REST")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="ask over gRPC instead")
    parser.add_argument("--model", default="restorer", help="the name that the server gives it")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--noise-scale", type=float)
    parser.add_argument("--fidelity", type=float, help="of VQFR version 2")
    given = parser.parse_args(arguments)
    named = {"seed": given.seed, "noise_scale": given.noise_scale, "fidelity": given.fidelity}
    values = {name: value for name, value in named.items() if value is not None}
    failed = 0
    try:
        restore = grpc_client(given.grpc, given.model) if given.grpc else rest_client(given.url, given.model)
    except ServingError as error:
        print(f"serving_client: {error}", file=sys.stderr)
        return 1
    for photo in given.photos:
        try:
            made = restore(photo.read_bytes(), values)
            given.output.mkdir(parents=True, exist_ok=True)
            for name, picture in made.items():
                end = "" if name == "restored_bytes" else f"_{name.replace('_bytes', '')}"
                with open(given.output / f"{photo.stem}{end}.png", "xb") as file:  # never over what is there
                    file.write(picture)
        except (ServingError, OSError) as error:
            print(f"serving_client: {photo}: {error}", file=sys.stderr)
            failed += 1
    print(f"{len(given.photos) - failed} of {len(given.photos)} photos restored")
    return 1 if failed else 0


def _json(url: str, body: Optional[Dict[str, Any]] = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        try:
            reason = json.load(error)["error"]
        except (ValueError, KeyError, TypeError):
            reason = str(error)
        raise ServingError(_first_line(reason)) from None
    except urllib.error.URLError as error:
        raise ServingError(f"no server at {url} ({error.reason})") from None


def _check(values: Dict[str, float], needed: List[str]) -> None:
    unknown = [name for name in values if name not in needed]
    if unknown:
        raise ServingError(f"the model takes no {unknown[0]}; leave it out")


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no reason given")


if __name__ == "__main__":
    sys.exit(main())
