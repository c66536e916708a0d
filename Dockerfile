# One image for the template's launcher and for Dataflow's workers, so that a graph runs where it was made for.
# Versions are those of setup.py and templates/requirements.txt; tests/test_image.py holds them together.
ARG BEAM_VERSION=2.77.0
ARG PYTHON_VERSION=3.11
# Google calls `latest` the released launcher, and moves it. To hold on to one, write latest@sha256:... here, with the
# digest that this prints (gcloud builds submit --tag hands on no --build-arg):
#   docker buildx imagetools inspect gcr.io/dataflow-templates-base/python311-template-launcher-base:latest
# Not done so far, since nobody has built with one. Google's list of its releases, by date:
# https://cloud.google.com/dataflow/docs/reference/flex-templates-base-images
ARG LAUNCHER_TAG=latest

FROM gcr.io/dataflow-templates-base/python311-template-launcher-base:${LAUNCHER_TAG} AS launcher
FROM apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION} AS sdk

# Not Beam's image itself: it brings 185 packages and the Google Cloud CLI, none of which is used here.
FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="section-speed" \
      org.opencontainers.image.description="Section speed enforcement: launcher and workers of the Dataflow flex template" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY --from=sdk /opt/apache/beam/boot /opt/apache/beam/LICENSE /opt/apache/beam/NOTICE /opt/apache/beam/

WORKDIR /template
# One package comes as source only and is built with the setuptools of the first file: nothing unpinned is fetched.
COPY templates/requirements-build.txt templates/requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: --requirement requirements-build.txt \
 && pip install --no-cache-dir --require-hashes --no-deps --no-build-isolation \
      --only-binary=:all: --no-binary=google-apitools --requirement requirements.txt
COPY setup.py pyproject.toml LICENSE ./
COPY pipeline pipeline
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && rm -r pipeline build ./*.egg-info \
 && pip check

# The launcher runs a file: this one alone, so that no module of its folder hides another one's name.
COPY pipeline/__main__.py section_speed.py
COPY templates/sections.yaml sections.yaml
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/section_speed.py \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    PYTHONUNBUFFERED=1

# No USER: Google's images run as root, and nothing says that Dataflow's mounted folders may belong to another.
ENTRYPOINT ["/opt/apache/beam/boot"]
