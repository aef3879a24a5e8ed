# The stream side and the command line: `faust -A app worker`, the gateway, `headrace …`.
# Build from the project's root: docker build -f docker/app.Dockerfile .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH
# dependencies first: they change less often than the code. The lock holds a hash for each of them
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY tasks tasks
# the demo's, which the wheel takes along
COPY examples/policies examples/policies
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# the spool is a volume, which takes its owner from here
RUN useradd --uid 10001 --create-home headrace && install -d -o headrace /home/headrace/spool
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEADRACE_LOG_JSON=true \
    HEADRACE_DATADIR=/home/headrace/faust
USER 10001
WORKDIR /home/headrace
# exec form: the worker gets SIGTERM itself, writes its state and leaves its group
CMD ["faust", "-A", "app", "worker", "-l", "info"]
