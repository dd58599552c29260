# The orchestrator: reads manifests, plans, dispatches, reports, serves pages and API. It holds no torch, no OpenCV and no codecs.
#   docker build -f docker/orchestrator.Dockerfile -t reelwright-orchestrator:0.1.0 .

ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/reelwright \
    && /opt/reelwright/bin/pip install --no-cache-dir --constraint constraints.txt ".[server,web,otio,c2pa]"

FROM ${BASE_IMAGE}
COPY --from=build /opt/reelwright /opt/reelwright
# A fixed number, so that rights on mounted folders can be given from outside.
# The folders, so that volumes mounted there are this user's.
RUN useradd --uid 10001 --create-home reelwright \
    && install --directory --owner=reelwright --group=reelwright --mode=700 \
        /home/reelwright/home /home/reelwright/home/uploads
ENV PATH=/opt/reelwright/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REELWRIGHT_HOME=/home/reelwright/home
USER reelwright
WORKDIR /home/reelwright
HEALTHCHECK --interval=60s --timeout=30s --start-period=30s --retries=3 CMD ["reelwright", "--json", "doctor"]
ENTRYPOINT ["reelwright"]
CMD ["orchestrate"]
