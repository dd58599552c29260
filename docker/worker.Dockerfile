# A worker: probes, restores, assembles.
#   docker build -f docker/worker.Dockerfile -t reelwright-worker:0.1.0 .
#
# BASE_IMAGE: any image with Python 3.11 or newer and its venv module. torch's own wheels bring the CUDA libraries, so
# the plain image serves GPUs too (`docker run --gpus all`); name a CUDA image where a site requires one.
# WHEELS: a further index for wheels. PyTorch's own index of CPU builds gives an image without CUDA, several gigabytes
# smaller.

ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG WHEELS=
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/reelwright \
    && PIP_EXTRA_INDEX_URL="${WHEELS}" /opt/reelwright/bin/pip install --no-cache-dir \
        --constraint constraints.txt ".[worker,server]"

FROM ${BASE_IMAGE}
COPY --from=build /opt/reelwright /opt/reelwright
# The same number as the orchestrator's: both write to the same scratch folders where these are shared.
RUN useradd --uid 10001 --create-home reelwright \
    && install --directory --owner=reelwright --group=reelwright --mode=700 \
        /home/reelwright/home /home/reelwright/home/uploads /scratch
# One thread a process: results stay bit-identical, and the machine is filled by processes.
ENV PATH=/opt/reelwright/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    REELWRIGHT_HOME=/home/reelwright/home
USER reelwright
WORKDIR /home/reelwright
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 CMD ["reelwright", "--json", "doctor"]
ENTRYPOINT ["reelwright"]
CMD ["worker"]
