# TensorFlow 2.15 with the CUDA 12.2 libraries that its own wheels bring; the host needs an NVIDIA driver and container toolkit.
#   docker build -t rethink-fr .
#   docker run --gpus all -v "$PWD":/work rethink-fr train --strategy mirrored --output /work/runs/quickstart
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ".[gpu]"
# Outside of any home, so that every user of a container finds what is built here.
ENV RETHINK_FR_CACHE=/opt/rethink-fr
RUN rethink-fr build-ops
WORKDIR /work
ENTRYPOINT ["rethink-fr"]
CMD ["--help"]
