# One worker. `docker compose up --build` runs two of them with all that they need (compose.yaml).
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements.txt .
RUN .venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
# The list has it so that one list sets up a copy that can be tried; nothing here runs it.
RUN .venv/bin/pip uninstall --yes --disable-pip-version-check pytest iniconfig pluggy
COPY mpesa/translations mpesa/translations
RUN .venv/bin/pybabel compile --directory mpesa/translations

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home mpesa
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY app.py ./
COPY migrations migrations
COPY templates templates
COPY static static
COPY mpesa mpesa
COPY --from=build /app/mpesa/translations mpesa/translations
USER mpesa
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json \
    ASYNC_MODE=gevent
EXPOSE 8000
# Whether the process serves; what it needs besides (database, Redis) is /readyz's to tell.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "\
from os import environ as e; from urllib.parse import urlsplit; from urllib.request import Request, urlopen; \
own = urlsplit(e.get('PUBLIC_URL') or 'http://127.0.0.1').netloc; \
urlopen(Request(f'http://127.0.0.1:{e[\"PORT\"]}/healthz', headers={'Host': own}), timeout=2)"]
# A shell would not pass SIGTERM on.
CMD ["python", "app.py"]
