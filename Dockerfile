# One worker. docs/deployment.md, "In containers", has how to run it; `make image` builds it without
# Docker and pays in it; `docker compose up --build` runs two of them with all that they need.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
# pip stays behind in this stage, and so does whatever only it needs.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY requirements.txt /tmp/
# An index of one's own is named by pip's configuration, passed on as a secret: it gets into no layer.
# The list has pytest so that one list sets up a copy that can be tried; nothing here runs it. Babel has
# a thousand locales, and the pages are in two languages; gevent and others bring their tests.
RUN --mount=type=secret,id=pip.conf PIP_CONFIG_FILE=/run/secrets/pip.conf \
        /opt/pip/bin/pip --python /opt/venv install --no-cache-dir --disable-pip-version-check \
        --no-compile --no-deps --only-binary :all: --require-hashes --requirement /tmp/requirements.txt \
    && /opt/pip/bin/pip --python /opt/venv uninstall --yes --disable-pip-version-check \
        pytest iniconfig packaging pluggy pygments \
    && find /opt/venv -path '*/babel/locale-data/*' ! -name root.dat ! -name 'en*' ! -name 'sw*' -delete \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +
WORKDIR /app
COPY app.py ./
COPY migrations migrations
COPY templates templates
COPY static static
COPY mpesa mpesa
# Compiled here, since the worker may write nothing: a start takes 1.2 s of CPU so, and 4.5 s otherwise.
# A checkout under a strict umask (chmod) is read by another user there.
RUN /opt/venv/bin/pybabel compile --directory mpesa/translations \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib . \
    && chmod -R a+rX,go-w .

FROM ${BASE}
# The base's own pip goes, and what could bring it back. A number for the user: Kubernetes'
# runAsNonRoot can't judge a name.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
        /usr/lib/python3*/ensurepip /usr/share/python-wheels \
    && groupadd --gid 10001 mpesa \
    && useradd --uid 10001 --gid mpesa --home-dir /app --no-create-home --shell /usr/sbin/nologin mpesa \
    && install --directory --owner mpesa --group mpesa --mode 700 /app/instance
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app ./
USER 10001:10001
# FLASK_SKIP_DOTENV: mpesa/config.py reads .env for every program, and says in one line what is wrong.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 FLASK_SKIP_DOTENV=1 \
    HOST=0.0.0.0 PORT=8000 ASYNC_MODE=gevent LOG_FORMAT=json
EXPOSE 8000
# The SQLite file, where DATABASE_URL names nothing else; the only folder that is written.
VOLUME /app/instance
LABEL org.opencontainers.image.title="mpesa-checkout" \
    org.opencontainers.image.description="An M-PESA checkout: STK push, live result, and a simulator of Daraja" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.licenses="MIT"
# Whether the process serves; what it needs besides (database, Redis) is /readyz's to tell.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "\
from os import environ as e; from urllib.parse import urlsplit; from urllib.request import Request, urlopen; \
own = urlsplit(e.get('PUBLIC_URL') or 'http://127.0.0.1').netloc; \
urlopen(Request(f'http://127.0.0.1:{e[\"PORT\"]}/healthz', headers={'Host': own}), timeout=2)"]
# A shell would not pass SIGTERM on.
CMD ["python", "app.py"]
