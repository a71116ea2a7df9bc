#!/usr/bin/env bash
# Builds the image: `make image`. Prints its name, digest and size, and writes them and the bill of materials to build/image.
#
# IMAGE_NAME        name and tag (default: localhost/verifywise-mlflow:VERSION, also tagged latest; + becomes -)
# IMAGE_TOOL        docker, podman or buildah (default: the first that works)
# IMAGE_BASE        base image; `debian` makes one with mmdebstrap (default: the Containerfile's, or `debian` if it cannot be pulled)
# IMAGE_APT_SOURCES an apt sources file for that base (default: Debian's own servers)
# IMAGE_LOCK        lock file in requirements/ of the extras in the image (default: image, all that services may need)
# IMAGE_PIP_CONF    a pip.conf for the build (default: the index and the certificates of this machine's pip)
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=bookworm
out=build/image
version=$(build/env/build/bin/hatchling version) # the Makefile installs it
name=${IMAGE_NAME:-localhost/verifywise-mlflow:${version//+/-}}
default_base=$(sed -n 's/^ARG BASE=//p' deploy/Containerfile | head -1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD -- verifywise_mlflow requirements deploy pyproject.toml 2>/dev/null || revision+=-dirty
# Every time in the image is that of the commit, so that two builds of one commit are equal.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

works() { command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1; }
tool=${IMAGE_TOOL:-}
for candidate in docker podman buildah; do
  [ -z "$tool" ] && works "$candidate" && tool=$candidate
done
[ -n "$tool" ] || { echo "No working docker, podman or buildah. On Debian: apt-get install buildah mmdebstrap" >&2; exit 3; }
if [ "$tool" = buildah ] && ! command -v crun >/dev/null && ! command -v runc >/dev/null; then
  export BUILDAH_ISOLATION=chroot  # works as root in a plain container
fi

secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
pip_setting() { # what pip uses: its variable, else its configuration files
  local variable=PIP_${1//-/_}
  variable=${variable^^}
  echo "${!variable:-$(python3 -m pip config get "global.$1" 2>/dev/null || true)}"
}
if [ -n "${IMAGE_PIP_CONF:-}" ]; then
  cp "$IMAGE_PIP_CONF" "$secrets/pip.conf"
else
  echo "[global]" >"$secrets/pip.conf"
  for setting in index-url extra-index-url; do # folders of this machine do not exist in the build
    value=$(pip_setting "$setting" | tr ' ' '\n' | grep -v '^file:' | tr '\n' ' ' || true)
    [ -z "${value// /}" ] || echo "$setting = $value" >>"$secrets/pip.conf"
  done
fi
certificates=$(pip_setting cert)
if [ -r "$certificates" ]; then
  cp "$certificates" "$secrets/ca.crt"
  grep -q '^cert *=' "$secrets/pip.conf" || echo "cert = /run/secrets/ca.crt" >>"$secrets/pip.conf"
else
  : >"$secrets/ca.crt"
fi

import_debian() { # the base from Debian's packages: $1 names the image
  command -v mmdebstrap >/dev/null || { echo "The base image $default_base cannot be pulled, and mmdebstrap is not installed." >&2; exit 3; }
  mkdir -p "$out"
  local tar=$out/base-$suite.tar
  mmdebstrap --quiet --variant=minbase --include=python3,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/var/cache/ldconfig/aux-cache' \
    "$suite" "$tar" ${IMAGE_APT_SOURCES:+"$IMAGE_APT_SOURCES"}
  if [ "$tool" = buildah ]; then
    local container
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$tar" / >/dev/null
    buildah commit --quiet --timestamp "$SOURCE_DATE_EPOCH" --rm "$container" "$1" >/dev/null
  else
    "$tool" import "$tar" "$1" >/dev/null
  fi
  rm "$tar"
}
base=${IMAGE_BASE:-$default_base}
if [ -z "${IMAGE_BASE:-}" ] && ! timeout 120 "$tool" pull "$base" >/dev/null 2>&1; then
  echo "$base cannot be pulled: the base is made of Debian's packages"
  base=debian
fi
if [ "$base" = debian ]; then
  base=localhost/verifywise-mlflow-base:$suite
  import_debian "$base"
fi

arguments=(
  --file deploy/Containerfile --tag "$name"
  --secret "id=pip.conf,src=$secrets/pip.conf" --secret "id=ca.crt,src=$secrets/ca.crt"
  --build-arg "BASE=$base" --build-arg "LOCK=${IMAGE_LOCK:-image}" --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
  --build-arg "CREATED=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
  --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"
)
mkdir -p "$out"
case $tool in
  docker) DOCKER_BUILDKIT=1 docker build "${arguments[@]}" . ;;
  # The docker format, since OCI's has no health check.
  *) "$tool" build --format docker --ignorefile deploy/Containerfile.dockerignore --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" . ;;
esac
# What deploy/compose.yaml starts unless it is given another name.
[ -n "${IMAGE_NAME:-}" ] || "$tool" tag "$name" localhost/verifywise-mlflow:latest

if [ "$tool" = buildah ]; then
  container=$(buildah from "$name")
  root=$(buildah mount "$container")
  cp "$root/opt/verifywise/share/sbom/sbom.cdx.json" "$out/sbom.cdx.json"
  size=$(du -sm "$root" | cut -f1)
  buildah rm "$container" >/dev/null
  digest=$(buildah images --format '{{.Digest}}' "$name" | sed -n 1p) # a line for each tag
else
  "$tool" run --rm --entrypoint cat "$name" /opt/verifywise/share/sbom/sbom.cdx.json >"$out/sbom.cdx.json"
  size=$(($("$tool" image inspect --format '{{.Size}}' "$name") / 1048576))
  digest=$("$tool" image inspect --format '{{.Id}}' "$name")
fi
printf '%s\n' "$name" >"$out/name"
printf '%s\n' "$tool" >"$out/tool"
echo "image  $name"
echo "digest $digest"
echo "size   $size MiB unpacked"
echo "sbom   $out/sbom.cdx.json"
