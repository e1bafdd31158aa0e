# The page and the service on the CPU (`stillwave web`), and all other commands of the base install. No PyTorch.
#   docker build --tag stillwave .
#   docker build --tag stillwave --build-arg FFMPEG=1 .    # with ffmpeg, for m4a, mp4 and other media files
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY requirements/build.lock requirements/build.lock
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY weights weights
RUN python -m build --wheel --no-isolation --outdir /wheel

FROM python:${PYTHON}-slim AS install
COPY requirements/web.lock /web.lock
COPY --from=wheel /wheel /wheel
# Only wheels, each with the hash of the lock; pip itself stays outside.
RUN python -m venv --without-pip /opt/stillwave \
    && python -m pip --python /opt/stillwave/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r /web.lock \
    && python -m pip --python /opt/stillwave/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM python:${PYTHON}-slim
ARG FFMPEG=0
RUN if [ "$FFMPEG" = 1 ]; then \
        apt-get update && apt-get install --yes --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*; \
    fi
RUN groupadd --gid 10001 stillwave \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin stillwave
COPY --from=install /opt/stillwave /opt/stillwave
# Nothing is written but uploads in /tmp and what a command is asked for, so that the file system can be read-only.
ENV PATH=/opt/stillwave/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["stillwave"]
# The container's loopback cannot be reached, so the service needs a token: STILLWAVE_WEB_TOKEN, or the one that it prints.
CMD ["web", "--host", "0.0.0.0", "--no-open"]
