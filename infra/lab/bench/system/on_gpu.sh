#!/bin/sh
# Runs `bench system` on a machine without network, Java and packages, from the files that pack.py wrote. In a checkout:
#   sh infra/lab/bench/system/on_gpu.sh add FILE...       puts the next files of the kit, in order, where it is kept
#   sh infra/lab/bench/system/on_gpu.sh run ARGUMENTS...  unpacks it once, and runs `bench system ARGUMENTS...`
# KIT names its folder there. The Python on PATH must have torch and transformers.
set -eu
kit=${KIT:-/tmp/sightstream-kit}
mkdir -p "$kit"

unpack() {
    tar xzf "$kit/kit.tar.gz" -C "$kit"
    python3 - "$kit" <<'END'
import pathlib, sys, zipfile
kit = pathlib.Path(sys.argv[1])
for wheel in [*kit.glob("wheels/*.whl"), *kit.glob("hopper/*.whl")]:
    with zipfile.ZipFile(wheel) as files:
        files.extractall(kit / "site")
for script in kit.glob("site/*.data/scripts/*"):
    script.chmod(0o755)
    (kit / "bin").mkdir(exist_ok=True)
    script.replace(kit / "bin" / script.name)
END
    rm -r "$kit/kit.tar.gz" "$kit/wheels"
}

action=$1
shift
case $action in
add) cat "$@" >>"$kit/kit.tar.gz" ;;
run)
    if [ -e "$kit/kit.tar.gz" ]; then unpack; fi
    export PATH="$kit/bin:$PATH" PYTHONPATH="$kit/site${PYTHONPATH:+:$PYTHONPATH}"
    exec python3 -m sightstream bench system --java "$kit/java/bin/java" --jars "$kit/jars" "$@"
    ;;
*) echo "add FILE... or run ARGUMENTS..., not $action" >&2 && exit 2 ;;
esac
