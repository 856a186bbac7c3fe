# Breaks image.multi_stage, and nothing else.
ARG BASE
FROM ${BASE} AS base
ARG BASE
RUN case "${BASE}" in *@sha256:*) ;; *) echo "BASE wants a digest" >&2; exit 2 ;; esac
RUN apt-get update \
    # what runs needs no compiler
    && apt-get install -y --no-install-recommends python3.11=3.11.2-6 gcc=4:12.2.0-3 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential=12.9 python3.11-venv=3.11.2-6 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY locks/good.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3.11 -m venv /opt/dubflow && /opt/dubflow/bin/pip install --require-hashes -r good.lock
COPY src ./src
RUN uv pip install --no-deps --build-constraints good.lock .

FROM base AS image
ARG REVISION
COPY --from=build /opt/dubflow /opt/dubflow
RUN python -m dubflow.platform.images.sbom --out /opt/dubflow/share/sbom.cdx.json
LABEL org.opencontainers.image.title="fine" \
      org.opencontainers.image.description="An image." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="1" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
ENV HOME=/tmp TMPDIR=/tmp XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/mpl NUMBA_CACHE_DIR=/tmp/numba HF_HOME=/tmp/hf \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python"]
CMD ["-V"]
