# Three images, each a target; the last one is built if none is named.
#
#   docker build --target cpu -t rethink-fr:cpu .
#   docker run -v "$PWD":/work rethink-fr:cpu restore photo.png --aligned --model runs/faces --output restored
#
#   docker build --target serving -t rethink-fr:serving .      after: rethink-fr export --format saved_model --output exported ...
#   docker run -p 8500:8500 -p 8501:8501 rethink-fr:serving    asked as docs/serving.md says
#
#   docker build -t rethink-fr .                               the host needs an NVIDIA driver and its container toolkit
#   docker run --gpus all -v "$PWD":/work rethink-fr train --strategy mirrored --output runs/quickstart

FROM python:3.11-slim AS base
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
# Outside of any home, so that every user of a container finds what is built here.
ENV RETHINK_FR_CACHE=/opt/rethink-fr
WORKDIR /src
COPY . .

FROM base AS cpu
RUN pip install --no-cache-dir ".[export]"
RUN rethink-fr build-ops
WORKDIR /work
ENTRYPOINT ["rethink-fr"]
CMD ["--help"]

# TensorFlow Serving with one exported model, of which it needs nothing of this package; `:2.15.1-gpu` for a GPU.
FROM tensorflow/serving:2.15.1 AS serving
ARG MODEL=exported
COPY ${MODEL} /models/restorer/1
ENV MODEL_NAME=restorer

# TensorFlow 2.15 with the CUDA 12.2 libraries that its own wheels bring.
FROM base AS gpu
RUN pip install --no-cache-dir ".[gpu]"
RUN rethink-fr build-ops
WORKDIR /work
ENTRYPOINT ["rethink-fr"]
CMD ["--help"]
