# The workers: `celery -A tasks worker`. The same code and lock as the stream side, so that the words they share cannot differ.
# Build from the project's root: docker build -f docker/tasks.Dockerfile .
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
RUN useradd --uid 10001 --create-home headrace
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEADRACE_LOG_JSON=true
USER 10001
WORKDIR /home/headrace
# exec form: the worker gets SIGTERM itself and ends the action in hand first
CMD ["celery", "-A", "tasks", "worker", "-l", "info"]
