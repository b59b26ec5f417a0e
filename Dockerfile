# mrisr with all that it needs, of the same pins as everywhere (requirements.txt).
#   docker build -t mrisr .                           for CPUs
#   docker build -t mrisr:cuda --build-arg PIP_ARGS= .   PyTorch with CUDA, run with --gpus all
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" mrisr run
FROM python:3.12.8-slim-bookworm AS build
ARG PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
WORKDIR /src
COPY requirements.txt ./
RUN python -m venv /opt/mrisr \
    && /opt/mrisr/bin/pip install --no-cache-dir ${PIP_ARGS} -r requirements.txt
COPY setup.py pyproject.toml README.md LICENSE Snakefile requirements-bm3d.txt ./
COPY envs envs
COPY profiles profiles
COPY slurm slurm
COPY config config
COPY docs docs
COPY examples examples
COPY workflow workflow
RUN /opt/mrisr/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12.8-slim-bookworm
COPY --from=build /opt/mrisr /opt/mrisr
# Caches go where any user may write.
ENV PATH=/opt/mrisr/bin:$PATH HOME=/tmp XDG_CACHE_HOME=/tmp/cache MPLBACKEND=Agg \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
ENTRYPOINT ["mrisr"]
CMD ["--help"]
