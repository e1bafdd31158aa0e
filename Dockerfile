# The base install, on the CPU: `stillwave enhance`, `stream` and the models that ship. No PyTorch, no compiler.
#   docker build --tag stillwave .
#   docker build --tag stillwave --build-arg FFMPEG=1 .    # with ffmpeg, for m4a, mp4 and other media files
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY requirements/dev.lock requirements/dev.lock
RUN python -m pip install --no-cache-dir -c requirements/dev.lock build hatchling
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY weights/denoiser-teacher weights/denoiser-teacher
RUN python -m build --wheel --no-isolation --outdir /wheel

FROM python:${PYTHON}-slim AS install
COPY requirements/dev.lock /dev.lock
COPY --from=wheel /wheel /wheel
# Only wheels, at the versions of the lock; pip itself stays outside.
RUN python -m venv --without-pip /opt/stillwave \
    && python -m pip --python /opt/stillwave/bin/python install --no-cache-dir --only-binary :all: -c /dev.lock /wheel/*.whl

FROM python:${PYTHON}-slim
ARG FFMPEG=0
RUN if [ "$FFMPEG" = 1 ]; then \
        apt-get update && apt-get install --yes --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*; \
    fi
RUN groupadd --gid 10001 stillwave \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin stillwave
COPY --from=install /opt/stillwave /opt/stillwave
# Nothing is written but what a command is asked for, so that the file system can be read-only.
ENV PATH=/opt/stillwave/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
HEALTHCHECK --interval=5m --timeout=30s CMD ["stillwave", "--version"]
ENTRYPOINT ["stillwave"]
CMD ["--help"]
