# syntax=docker/dockerfile:1
# One image for API, sealer and commands: `docker build -t carbondesk .`; docker-compose.yml runs it.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

FROM base AS dashboard
WORKDIR /build
COPY requirements-node.lock ./
RUN python -m venv /opt/node && /opt/node/bin/pip install --require-hashes -r requirements-node.lock
COPY build_dashboard.py schema.graphql ./
COPY dashboard ./dashboard
RUN mkdir api && /opt/node/bin/python build_dashboard.py require

FROM base AS packages
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/carbondesk && /opt/carbondesk/bin/pip install --require-hashes -r requirements.lock

FROM base
RUN groupadd --system --gid 10001 carbondesk \
    && useradd --system --uid 10001 --gid carbondesk --no-create-home --home-dir /var/lib/carbondesk carbondesk \
    && install --directory --owner=carbondesk --group=carbondesk --mode=0700 /var/lib/carbondesk
COPY --from=packages /opt/carbondesk /opt/carbondesk
WORKDIR /app
COPY domain ./domain
COPY db ./db
COPY api ./api
COPY --from=dashboard /build/api/_dashboard ./api/_dashboard
# The root file system is read-only where it runs.
RUN /opt/carbondesk/bin/python -m compileall -q .
ENV PATH=/opt/carbondesk/bin:$PATH CARBONDESK_HOME=/var/lib/carbondesk CARBONDESK_ENV=production HOST=0.0.0.0 DEMO=0
USER 10001:10001
VOLUME ["/var/lib/carbondesk"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m", "api"]
CMD ["serve"]
