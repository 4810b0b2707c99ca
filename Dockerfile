FROM python:3.13-slim-bookworm AS install
COPY requirements/base.txt /tmp/base.txt
RUN python -m venv /srv/venv \
 && /srv/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/base.txt

FROM python:3.13-slim-bookworm
RUN useradd --system --create-home --uid 10001 apportion
ENV PATH=/srv/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATIC_ROOT=/srv/static \
    GRANIAN_INTERFACE=rsgi GRANIAN_HOST=0.0.0.0 GRANIAN_PORT=8000 \
    GRANIAN_WORKERS=2 GRANIAN_RESPAWN_FAILED_WORKERS=true
COPY --from=install /srv/venv /srv/venv
WORKDIR /srv/apportion
COPY . .
# The keys are for this one step, which signs nothing.
RUN SECRET_KEY=none IDENTITY_HASH_KEY=none python manage.py collectstatic --no-input
USER apportion
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["granian", "config.rsgi:application"]
