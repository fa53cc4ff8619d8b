# fauxvider as a server for others: docker build -t fauxvider . (docs/operations.md)
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY emulator emulator
COPY fixtures fixtures
COPY pytest_plugin pytest_plugin
RUN python -m venv /opt/fauxvider && /opt/fauxvider/bin/pip install --no-cache-dir '.[metrics,redis]'

FROM python:3.13-slim
COPY --from=build /opt/fauxvider /opt/fauxvider
ENV PATH=/opt/fauxvider/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Nobody in particular; nothing is written outside /tmp, and there only what --metrics and --tls keep.
USER 10001:10001
EXPOSE 8900 8901
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8901/-/ready', timeout=3)"]
ENTRYPOINT ["fauxvider"]
CMD ["serve", "--host", "0.0.0.0", "--expose", "--log", "json", "--metrics"]
