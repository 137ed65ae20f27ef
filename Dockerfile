# Colours a folder, serves the page, trains: docs/container.md.
FROM python:3.12-slim AS build
# The index of PyTorch's wheels for CPUs only, or for one version of CUDA; empty: pip's own, for CPUs and NVIDIA GPUs
ARG WHEELS=
ENV PATH=/opt/colorization/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3013  # bounded here, too
RUN python -m venv /opt/colorization \
 && pip install "torch>=2.11,<2.16" "torchvision>=0.26" ${WHEELS:+--index-url "$WHEELS"}
WORKDIR /source
COPY . .
# hadolint ignore=DL3013  # pyproject.toml bounds the versions
RUN pip install ".[app,film,lite,timm]"

FROM python:3.12-slim
COPY --from=build /opt/colorization /opt/colorization
# Caches lie in a home that any user may write to, because a mounted folder needs docker run --user
ENV PATH=/opt/colorization/bin:$PATH HOME=/home/colorization PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --create-home --home-dir "$HOME" colorization && chmod 1777 "$HOME" && mkdir /photos && chmod 1777 /photos
USER 1000
WORKDIR /photos
CMD ["colorize", "--help"]
