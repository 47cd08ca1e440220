#!/bin/bash
# Installs whatever groups of the bundle have arrived whole, without a network. Call it again when more pieces are there.
#   benches/gpu/install.sh [FOLDER OF THE PIECES] [WHERE TO]        then: export PYTHONPATH=WHERE TO
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pieces=${1:-$root/dist/gpu}
site=${2:-/tmp/site}
wheels=$site.wheels
python=${PYTHON:-python3}
failed=0
mkdir -p "$site" "$wheels"
export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}

install_wheels() {
	for wheel in "$wheels/$1"/*.whl; do # pip leaves the metadata of a version that it replaces
		name=${wheel##*/}
		rm -rf "${2:?}/${name%%-*}"-*.dist-info
	done
	"$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --no-warn-script-location \
		--root-user-action=ignore --disable-pip-version-check --upgrade --target "$2" "$wheels/$1"/*.whl
}

# The machine's CUDA libraries beside a torch that was carried: it looks for them there.
link_libraries() {
	machine=$(env -u PYTHONPATH "$python" -c "import nvidia; print(list(nvidia.__path__)[0])") || return 1
	for library in "$machine"/*; do
		[ -e "$1/nvidia/${library##*/}" ] || ln -s "$library" "$1/nvidia/" || return 1
	done
}

install_group() {
	group=$1
	sums=$pieces/$group.sha256
	if cmp -s "$sums" "$wheels/$group.done"; then
		echo "$group: installed"
		return 0
	fi
	while read -r _ name; do
		if [ ! -f "$pieces/$name" ]; then
			echo "$group: waits for $name"
			return 0
		fi
	done < "$sums"
	started=$SECONDS
	if ! (cd "$pieces" && sha256sum --check --quiet "$group.sha256"); then
		echo "$group: a piece is damaged: carry it again"
		return 1
	fi
	rm -rf "${wheels:?}/$group" # wheels of an earlier bundle: pip takes one version of a package
	mkdir -p "$wheels/$group"
	while read -r _ name; do cat "$pieces/$name"; done < "$sums" | tar -x -C "$wheels/$group" || return 1
	case $group in
	vllm) # with a torch of its own, in a folder of its own
		install_wheels "$group" "$site.vllm" && link_libraries "$site.vllm" || return 1
		;;
	core | train)
		install_wheels "$group" "$site" || return 1
		;;
	*) # a model: converted by p2o's own code, which asks pip for the wheels
		PIP_NO_INDEX=1 PIP_FIND_LINKS=$wheels/$group PIP_DISABLE_PIP_VERSION_CHECK=1 \
			"$python" -m p2o.model.fetch "$group" || return 1
		;;
	esac
	if [ "$group" = core ] && [ -d "$root/python/p2o" ]; then
		# The repository's own Python code runs with the extension of the wheel.
		"$python" - "$wheels/core" "$root/python" <<- 'END' || return 1
			import sys, zipfile
			from pathlib import Path
			(wheel,) = Path(sys.argv[1]).glob("p2o_rl-*.whl")
			with zipfile.ZipFile(wheel) as archive:
			    for name in archive.namelist():
			        if name.startswith("p2o/_core") and name.endswith(".so"):
			            target = Path(sys.argv[2], name)
			            new = target.with_name(target.name + ".new")
			            new.write_bytes(archive.read(name))
			            new.replace(target)
		END
	fi
	cp "$sums" "$wheels/$group.done"
	echo "$group: installed in $((SECONDS - started)) s"
}

# p2o first: the models need it.
for group in core train vllm smollm2 gemma3; do
	if [ -f "$pieces/$group.sha256" ]; then
		install_group "$group" || { echo "$group: not installed"; failed=1; }
	fi
done

"$python" - "$site" <<'END' || failed=1
import sys
from importlib.metadata import PackageNotFoundError, distributions, version

from packaging.requirements import Requirement

for found in distributions(path=[sys.argv[1]]):
    for line in found.requires or ():
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            number = version(needed.name)
        except PackageNotFoundError:
            print(f"missing: {needed} ({found.name} requires it)")
            continue
        if not needed.specifier.contains(number, prereleases=True):
            print(f"another version: {needed.name} {number} ({found.name} requires {needed.specifier})")
END
echo "export PYTHONPATH=$site"
if [ -d "$site.vllm" ]; then
	echo "with vLLM and its torch: export PYTHONPATH=$site.vllm:$site"
fi
exit $failed
