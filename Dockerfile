# Isthmus and its studio, with the versions that the tests run with; docs/installing.md has the rest.
FROM python:3.11-slim AS build

# torch-cpu, or torch for a machine with an NVIDIA GPU: a list of requirements/.
ARG TORCH=torch-cpu
# Where pip finds PyTorch without CUDA, as PyTorch's own site says.
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/isthmus/bin:$PATH
RUN python -m venv /opt/isthmus

# What is locked first: it changes less often than the program, and stays in the cache of builds.
WORKDIR /build
COPY requirements/torch.txt requirements/torch-cpu.txt requirements/
RUN python -m pip install --quiet --no-deps --no-compile --require-hashes --requirement requirements/${TORCH}.txt
COPY requirements/run.txt requirements/
RUN python -m pip install --quiet --no-deps --no-compile --require-hashes --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY requirements/isthmus.cdx.json requirements/
COPY src src
RUN python -m pip install --quiet --no-deps --no-compile --no-build-isolation .

FROM python:3.11-slim
COPY --from=build /opt/isthmus /opt/isthmus
ENV PATH=/opt/isthmus/bin:$PATH ISTHMUS_DATA=/data ISTHMUS_CACHE=/cache ISTHMUS_STATE=/state
RUN useradd --create-home --uid 1000 isthmus \
 && mkdir /data /cache /state /work \
 && chown isthmus:isthmus /data /cache /state /work
# Named data sets; decoded samples, which can always be made again; what is remembered, such as which
# precision is faster; runs and all else that is written.
VOLUME ["/data", "/cache", "/state", "/work"]
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["isthmus"]
CMD ["--help"]
