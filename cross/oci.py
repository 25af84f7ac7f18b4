#!/usr/bin/env python3
"""Puts the files of the container image together and packs them, with nothing but Python: an OCI image layout in a tar.

    cross/oci.py pack OUT.tar --version V --certificates CA.crt --program amd64=FILE [--program armv7=FILE …] [--rootfs DIR]
    cross/oci.py check OUT.tar [--max-mib N]

`pack` keeps the tree of each processor under DIR, where cross/Containerfile finds it: `common` is in every image, `amd64` and the
like hold the program. The same input gives the same bytes: names are sorted, times are SOURCE_DATE_EPOCH (0 when it is not set).
`check` reads an image as a registry would: every digest and size, both sides of the compression, every platform once, and
the bytes unpacked against N MiB.
"""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
# Processor names as in Containerfiles, and what an image calls them.
PLATFORMS = {
    "amd64": {"architecture": "amd64", "os": "linux"},
    "arm64": {"architecture": "arm64", "os": "linux", "variant": "v8"},
    "armv7": {"architecture": "arm", "os": "linux", "variant": "v7"},
    "armv6": {"architecture": "arm", "os": "linux", "variant": "v6"},
}
LABELS = {
    "org.opencontainers.image.title": "collector",
    "org.opencontainers.image.description":
        "An embedded log and packet collector: reads Fluent Bit configurations, loses nothing, costs little.",
    "org.opencontainers.image.licenses": "Apache-2.0",
}
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def assemble(rootfs, certificates, programs):
    """Copies the files of the image to a folder for each layer: `common`, and one per processor."""
    shutil.rmtree(rootfs, ignore_errors=True)
    common = os.path.join(rootfs, "common")
    shutil.copytree(os.path.join(ROOT, "cross", "rootfs"), common)
    shutil.copy(os.path.join(ROOT, "parsers.conf"), os.path.join(common, "fluent-bit", "etc"))
    for folder in ("etc/ssl/certs", "fluent-bit/bin", "tmp", "var/log"):
        os.makedirs(os.path.join(common, folder))
    shutil.copy(certificates, os.path.join(common, "etc/ssl/certs/ca-certificates.crt"))
    os.symlink("collector", os.path.join(common, "fluent-bit/bin/fluent-bit"))
    for name, file in programs.items():
        folder = os.path.join(rootfs, name, "fluent-bit", "bin")
        os.makedirs(folder)
        shutil.copy(file, os.path.join(folder, "collector"))
    for folder, dirs, files in os.walk(rootfs):
        for name in dirs:
            os.chmod(os.path.join(folder, name), 0o1777 if name == "tmp" else 0o755)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if folder.endswith("/bin") else 0o644)


def layer(folder):
    """The files of a folder as a tar, sorted, owned by root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        names = []
        for top, dirs, files in os.walk(folder):
            names += [os.path.relpath(os.path.join(top, name), folder) for name in dirs + files]
        for name in sorted(names):
            path = os.path.join(folder, name)
            info = tar.gettarinfo(path, name)
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = EPOCH
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return out.getvalue()


def squeezed(data):
    """gzip with a head that tells neither time nor system, for the same bytes each time."""
    packed = gzip.compress(data, 9, mtime=0)
    return packed[:9] + b"\xff" + packed[10:]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Blobs(dict):
    """What the image consists of, by digest."""

    def put(self, kind, data, **more):
        self[digest(data)] = data
        return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


def created():
    return datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pack(out, version, rootfs, names):
    """Writes the image; answers the digest of its index."""
    blobs, manifests = Blobs(), []
    labels = {**LABELS, "org.opencontainers.image.version": version}
    for name in names:
        tars = [layer(os.path.join(rootfs, folder)) for folder in ("common", name)]
        layers = [blobs.put(LAYER, squeezed(tar)) for tar in tars]
        config = {
            **PLATFORMS[name],
            "created": created(),
            "config": {
                "Entrypoint": ["/fluent-bit/bin/collector"],
                "Cmd": ["-c", "/fluent-bit/etc/fluent-bit.conf"],
                "Env": ["PATH=/fluent-bit/bin"],
                "ExposedPorts": {"2020/tcp": {}, "24224/tcp": {}},
                "WorkingDir": "/",
                "Labels": labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
            "history": [{"created": created(), "created_by": f"cross/oci.py: {folder}"} for folder in ("common", name)],
        }
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blobs.put(CONFIG, as_json(config)),
                    "layers": layers, "annotations": labels}
        manifests.append(blobs.put(MANIFEST, as_json(manifest), platform=PLATFORMS[name]))
    index = blobs.put(INDEX, as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels}))
    # Loaders take the name of the image from here.
    index["annotations"] = {"org.opencontainers.image.ref.name": f"collector:{version}"}
    files = {"index.json": as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]}),
             "oci-layout": as_json({"imageLayoutVersion": "1.0.0"})}
    files.update(("blobs/" + name.replace(":", "/"), data) for name, data in blobs.items())
    part = out + ".part"
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, EPOCH
            tar.addfile(info)
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), EPOCH
            tar.addfile(info, io.BytesIO(data))
    os.replace(part, out)
    return index["digest"]


class Wrong(Exception):
    """Why an image is not one."""


def want(condition, why):
    if not condition:
        raise Wrong(why)


def blob(files, descriptor, kind):
    """The bytes that a descriptor names, when they are what it says."""
    want(descriptor.get("mediaType") == kind, f"{descriptor.get('mediaType')} where {kind} should be")
    data = files.get("blobs/" + descriptor["digest"].replace(":", "/"))
    want(data is not None, f"{descriptor['digest']} is missing")
    want(len(data) == descriptor["size"], f"{descriptor['digest']} has {len(data)} bytes, not {descriptor['size']}")
    want(digest(data) == descriptor["digest"], f"{descriptor['digest']} has other bytes")
    return data


def check(path, max_mib):
    """Reads the whole image; answers a line for each platform."""
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isreg()}
    want(json.loads(files.get("oci-layout", b"{}")).get("imageLayoutVersion") == "1.0.0", "no oci-layout of version 1.0.0")
    top = json.loads(files["index.json"])
    want(top["schemaVersion"] == 2 and len(top["manifests"]) == 1, "index.json should name one image")
    index = json.loads(blob(files, top["manifests"][0], INDEX))
    used = {"oci-layout", "index.json", "blobs/" + top["manifests"][0]["digest"].replace(":", "/")}
    lines, seen = [], []
    for entry in index["manifests"]:
        platform = entry["platform"]
        want(platform in PLATFORMS.values(), f"unknown platform {platform}")
        want(platform not in seen, f"{platform} is there twice")
        seen.append(platform)
        manifest = json.loads(blob(files, entry, MANIFEST))
        config = json.loads(blob(files, manifest["config"], CONFIG))
        want({key: config.get(key) for key in platform} == platform, f"{platform} has a configuration for another")
        unpacked, contents = 0, {}
        want(len(config["rootfs"]["diff_ids"]) == len(manifest["layers"]), "layers and diff_ids differ in number")
        for descriptor, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"]):
            tar = gzip.decompress(blob(files, descriptor, LAYER))
            want(digest(tar) == diff_id, f"{descriptor['digest']} unpacks to other bytes than {diff_id}")
            with tarfile.open(fileobj=io.BytesIO(tar)) as names:
                for member in names.getmembers():
                    want(not member.name.startswith(("/", "..")), f"{member.name} is outside")
                    contents[member.name] = member
                    unpacked += member.size
        for part in [entry, manifest["config"], *manifest["layers"]]:
            used.add("blobs/" + part["digest"].replace(":", "/"))
        program = contents.get(config["config"]["Entrypoint"][0].lstrip("/"))
        want(program is not None and program.isreg() and program.mode & 0o111, "the entrypoint cannot be run")
        want(contents.get(config["config"]["Cmd"][1].lstrip("/")) is not None, "the configuration is not there")
        mib = unpacked / (1 << 20)
        want(max_mib is None or mib <= max_mib, f"{'/'.join(platform.values())}: {mib:.2f} MiB are more than {max_mib}")
        sent = sum(d["size"] for d in manifest["layers"]) / (1 << 20)
        lines.append(f"{'/'.join(platform[k] for k in ('os', 'architecture', 'variant') if k in platform)}: "
                     f"{mib:.2f} MiB unpacked, {sent:.2f} MiB packed, program {program.size / (1 << 20):.2f} MiB")
    want(used == set(files), f"nobody names {sorted(set(files) - used)}")
    return [f"digest {top['manifests'][0]['digest']}"] + lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("pack")
    p.add_argument("out")
    p.add_argument("--version", required=True)
    p.add_argument("--certificates", required=True)
    p.add_argument("--program", action="append", required=True, metavar="PROCESSOR=FILE")
    p.add_argument("--rootfs", help="where the files are put together; OUT.tar.rootfs unless it is given")
    c = verbs.add_parser("check")
    c.add_argument("image")
    c.add_argument("--max-mib", type=float)
    args = parser.parse_args()
    if args.verb == "check":
        try:
            print("\n".join(check(args.image, args.max_mib)))
        except (Wrong, KeyError, ValueError, OSError, tarfile.TarError, EOFError) as e:
            sys.exit(f"oci: {args.image}: {e!r}" if isinstance(e, KeyError) else f"oci: {args.image}: {e}")
        return
    programs = dict(pair.split("=", 1) for pair in args.program if "=" in pair)
    unknown = [name for name in programs if name not in PLATFORMS]
    if unknown or len(programs) != len(args.program):
        sys.exit(f"oci: --program takes PROCESSOR=FILE; processors are {', '.join(PLATFORMS)}")
    rootfs = args.rootfs or args.out + ".rootfs"
    assemble(rootfs, args.certificates, programs)
    print(pack(args.out, args.version, rootfs, [name for name in PLATFORMS if name in programs]))


if __name__ == "__main__":
    main()
